package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/progress"
)

// print writes a result to standard output, as JSON if the user asked for it. The type of the result is one of those
// that jsonOutputs lists for the command. With --quiet, only JSON is written.
func (a *app) print(result any, text func(io.Writer)) error {
	if a.json {
		return writeJSON(a.stdout, result)
	}
	if a.voice.quiet {
		return nil
	}

	var out bytes.Buffer
	text(&out)
	_, err := a.stdout.Write(out.Bytes())
	return err
}

// listed is the number of shards or paths that are printed. The rest is only counted.
const listed = 100

func printMore(w io.Writer, n int) {
	if n > listed {
		fmt.Fprintf(w, "  and %d more (all with --json)\n", n-listed)
	}
}

// printable quotes a path that could upset a terminal or a reader.
func printable(path string) string {
	for _, r := range path {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(path)
		}
	}
	return path
}

// plural returns a number of things that are called what in the singular, such as "1 file" or "2 entries".
func plural(n int64, what string) string { return progress.Count(n, what) }

// base64Unless returns the base64 form of a name that JSON can't hold, and "" for any other name.
func base64Unless(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(name))
}
