package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// errOutput marks an error of standard output.
var errOutput = errors.New("cannot write to standard output")

// outputError returns an error that blames standard output alone if err comes from there. What the command was about,
// such as the database that it read, has no part in it.
func outputError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "write" && path.Path == os.Stdout.Name() {
		return fmt.Errorf("%w: %w", errOutput, path.Err)
	}
	return err
}

// helpOutput keeps the first error of the output that cobra writes help to, because cobra does not return it.
type helpOutput struct {
	to  io.Writer
	err error
}

// Write never fails, so cobra has nothing to print.
func (o *helpOutput) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.to.Write(p)
	}
	return len(p), nil
}

// textOnly writes content to a terminal, unless the content begins with a block that is no text.
type textOnly struct {
	to    io.Writer
	begun bool
}

// Write returns errUsage for a first block with NUL bytes.
func (t *textOnly) Write(p []byte) (int, error) {
	if !t.begun && bytes.IndexByte(p, 0) >= 0 {
		return 0, fmt.Errorf("%w: the file is not text, and is not written to a terminal: name a file as OUT, use a "+
			"pipe, or --force", errUsage)
	}
	t.begun = true
	return t.to.Write(p)
}
