package main

import (
	"os"
	"sync"

	"golang.org/x/term"
)

// terminal is standard error: lines of the log, and where it is a terminal one line of progress below them.
type terminal struct {
	file *os.File
	mu   sync.Mutex
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

// Write keeps writers apart.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file.Write(p)
}
