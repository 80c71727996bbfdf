package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// print writes a result to standard output, as JSON if the user asked for it. With --quiet, only that is written.
func (a *app) print(result any, text func(io.Writer)) error {
	if a.voice.quiet && !a.json {
		return nil
	}

	var out bytes.Buffer
	if a.json {
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(result); err != nil {
			return err
		}
	} else {
		text(&out)
	}

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

// printList prints rows as a JSON array or as lines.
func printList[T, V any](a *app, rows []T, view func(T) V, text func(V, io.Writer)) error {
	views := make([]V, len(rows))
	for i, row := range rows {
		views[i] = view(row)
	}
	return a.print(views, func(w io.Writer) {
		for _, v := range views {
			text(v, w)
		}
	})
}

func formatTime(t sqlrepo.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05Z")
}

// listEach prints views as they come, as lines or as an object with one list.
func listEach[V interface{ text(io.Writer) }](a *app, name string, each func(yield func(V) error) error) error {
	if a.json {
		out := a.streamJSON(name)
		if err := each(func(view V) error { return out.element(view) }); err != nil {
			return err
		}
		return out.end(nil)
	}

	out := bufio.NewWriter(a.stdout)
	err := each(func(view V) error {
		view.text(out)
		return nil
	})
	return errors.Join(err, out.Flush())
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
