package main

import (
	"bytes"
	"os"
	"sync"

	"golang.org/x/term"
)

// terminal is standard error: lines of the log, and where it is a terminal one line of progress below them.
type terminal struct {
	file *os.File
	mu   sync.Mutex
	// drawn tells that the line of progress is there.
	drawn bool
}

func newTerminal(file *os.File) *terminal { return &terminal{file: file} }

func (t *terminal) interactive() bool { return term.IsTerminal(int(t.file.Fd())) }

func (t *terminal) width() int {
	width, _, err := term.GetSize(int(t.file.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// Write keeps writers apart, and lines of the log off the line of progress, which begins with a carriage return.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	progress := bytes.HasPrefix(p, []byte("\r"))
	if t.drawn && !progress {
		if _, err := t.file.WriteString("\r\x1b[K"); err != nil {
			return 0, err
		}
	}
	t.drawn = progress
	return t.file.Write(p)
}
