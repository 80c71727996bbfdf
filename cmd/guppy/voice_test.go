package main

import (
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// TestWorkIsShownOnceItIsLate begins work that ends at once, and then work that goes on.
func TestWorkIsShownOnceItIsLate(t *testing.T) {
	t.Parallel()
	term := terminal.New(t, 100, 10)
	a := newApp(nil, []string{"TERM=xterm-256color"}, term.File, term.File)
	a.voice.progress = progressBars
	task := progress.NewTask("migrating", "migration")

	begun, stop := a.showLate(t.Context(), task.State)
	begun()
	stop()
	_, stop = a.showLate(t.Context(), task.State)
	stop()
	if text := lastScreen(t, term); strings.Contains(text, "migrating") || term.Output() != "the end\r\n" {
		t.Errorf("work that is not late is shown: %q", term.Output())
	}

	begun, stop = a.showLate(t.Context(), task.State)
	begun()
	begun()
	term.Await(t, `migrating  +\S`)
	stop()
	lastScreen(t, term)
	term.Await(t, `^the end\nthe end\n$`)
}
