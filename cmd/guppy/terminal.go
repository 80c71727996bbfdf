package main

import (
	"bytes"
	"context"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/progress"
)

// terminal is standard error. It shows lines of the log and, on a terminal, one line of progress below them.
type terminal struct {
	file *os.File
	mu   sync.Mutex
	// drawn is true if the line of progress is on the screen.
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

// Write is safe for concurrent use. It clears the line of progress, which begins with a carriage return, before
// it writes lines of the log.
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

// showProgress shows the progress until stop is called.
func (a *app) showProgress(ctx context.Context, line progress.Line) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)

	var shown sync.WaitGroup
	shown.Go(func() {
		if a.terminal.interactive() {
			progress.Show(ctx, line, a.terminal, a.terminal.width)
		} else {
			progress.Log(ctx, line, a.log)
		}
	})

	return func() {
		cancel()
		shown.Wait()
	}
}
