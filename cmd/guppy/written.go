package main

import (
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/internal/progress"
)

// writtenView is the output of a command that has written a blob to a file.
type writtenView struct {
	CID   string `json:"cid"`   // CID of the shard
	File  string `json:"file"`  // the file that was written
	Bytes int64  `json:"bytes"` // its size
}

func (v writtenView) text(w io.Writer) {
	fmt.Fprintf(w, "wrote     %s to %s: %s\n", v.CID, printable(v.File), progress.Bytes(v.Bytes))
}

// summed counts the bytes that are written.
type summed struct {
	to io.Writer
	n  int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.n += int64(n)
	return n, err
}

// writeBlob is like writeTo. It prints what was written to a file.
func (a *app) writeBlob(out output, cid string, write func(io.Writer) error) error {
	written := int64(0)
	err := a.writeTo(out, func(w io.Writer) error {
		counted := &summed{to: w}
		defer func() { written = counted.n }()
		return write(counted)
	})
	if err != nil || out.isStdout() {
		return err
	}
	view := writtenView{cid, out.file, written}
	return a.print(view, view.text)
}
