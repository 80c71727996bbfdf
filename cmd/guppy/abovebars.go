package main

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// aboveBars makes lines on standard output appear above the bars, until below is called. It does nothing if standard
// output is not the terminal that the bars are on.
func (a *app) aboveBars() (below func()) {
	if !a.screen.Is(a.stdout) {
		return func() {}
	}

	terminal := a.stdout
	lines := &lineWriter{to: a.screen, terminal: terminal}
	a.stdout = lines
	return func() {
		a.stdout = terminal
		lines.end(terminal)
	}
}

// lineWriter passes on whole lines. It is safe for concurrent use.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
	// terminal is where the lines get to in the end.
	terminal io.Writer
	begun    []byte
	ended    bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return w.to.Write(p)
	}

	last := bytes.LastIndexByte(p, '\n') + 1
	if last == 0 {
		w.begun = append(w.begun, p...)
		return len(p), nil
	}
	whole := slices.Concat(w.begun, p[:last])
	w.begun = slices.Clone(p[last:])
	if _, err := w.to.Write(whole); err != nil {
		return 0, err
	}
	return len(p), nil
}

// end passes on a line that has no end yet. From then on, everything goes to another writer at once.
func (w *lineWriter) end(to io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.to, w.ended = to, true
	// If the terminal is gone, nobody misses the line.
	_, _ = to.Write(w.begun)
}
