package display_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// TestDashboard scrolls, and finds what was written meanwhile below what was there before.
func TestDashboard(t *testing.T) {
	term := terminal.New(t, 40, 8)
	screen := display.NewScreen(term.File, environ)
	fmt.Fprintln(screen, "before")

	var lines atomic.Int64
	lines.Store(4)
	draw := func(int) (head string, body []string) {
		for line := range lines.Load() {
			body = append(body, fmt.Sprintf("line %d %s", line, strings.Repeat("long ", 20)))
		}
		return "the head", body
	}

	ctx, end := context.WithCancel(context.Background())
	defer end()
	changed := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		if err := screen.Dashboard(ctx, term.File, term.File, draw, changed); err != nil {
			t.Error(err)
		}
	})

	term.Await(t, `^the head\nline 0 .*\nline 1 .*\nline 2 .*\nline 3 .*\n+q quits\n$`)
	lines.Store(30)
	changed <- struct{}{}
	term.Await(t, `^the head\nline 0 .*\n(line .*\n){5}q quits  more below: ↑ ↓ PgUp PgDn\n$`)
	fmt.Fprintln(screen, "written meanwhile")
	screen.Show(halfDone)() // bars would be in the way

	for _, step := range []struct{ keys, first string }{
		{"j", "line 1 "}, {"\x1b[B", "line 2 "}, {"\x1b[6~", "line 8 "}, {"G", "line 24 "},
		{"k", "line 23 "}, {"g", "line 0 "},
	} {
		term.Type(t, step.keys)
		term.Await(t, `^the head\n`+step.first)
	}

	// What is not there any more can't be scrolled to.
	term.Type(t, "G")
	term.Await(t, `^the head\nline 24 `)
	lines.Store(2)
	changed <- struct{}{}
	term.Await(t, `^the head\nline 0 .*\nline 1 .*\n+q quits\n$`)

	end()
	showing.Wait()
	term.Await(t, `^before\nwritten meanwhile\n$`)
	if term.CursorHidden() || term.Alternate() {
		t.Error("the terminal is not as it was")
	}
}

// TestADashboardIsAbandoned gives the terminal back while the dashboard hangs in drawing.
func TestADashboardIsAbandoned(t *testing.T) {
	term := terminal.New(t, 40, 8)
	screen := display.NewScreen(term.File, environ)
	if screen.Abandon() {
		t.Error("there was no dashboard")
	}

	var hangs atomic.Bool
	released := make(chan struct{})
	draw := func(int) (string, []string) {
		if hangs.Load() {
			<-released
		}
		return "the head", nil
	}
	ctx, end := context.WithCancel(context.Background())
	var showing sync.WaitGroup
	showing.Go(func() { _ = screen.Dashboard(ctx, term.File, term.File, draw, nil) })
	term.Await(t, "^the head")

	hangs.Store(true)
	end()
	if !screen.Abandon() {
		t.Error("there is a dashboard")
	}
	fmt.Fprintln(term.File, "after")
	term.Await(t, "after")
	if term.Alternate() || term.CursorHidden() {
		t.Errorf("alternate screen: %t, cursor hidden: %t", term.Alternate(), term.CursorHidden())
	}
	close(released)
	showing.Wait()
}
