package main

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test program be the limit program too, as the built one is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{limitCommand, hashCommand}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// tiny is a corpus for tests of everything around it. It is just large enough to show in the size of a database.
func tiny() corpus {
	c := corpora()[0]
	c.files, c.room = manySmall(2, 200, 32<<10), 2*200*32<<10
	return c
}

// interrupter is a user who sees a text and presses Ctrl-C.
type interrupter struct {
	bytes.Buffer
	at        string
	interrupt func()
}

func (i *interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		i.interrupt()
	}
	return i.Buffer.Write(p)
}

func expectGone(t *testing.T, progress string) {
	t.Helper()
	line, _, _ := strings.Cut(progress, "\n")
	dir, found := strings.CutPrefix(line, "working in ")
	if !found {
		t.Fatalf("progress doesn't begin with the directory: %q", progress)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}
