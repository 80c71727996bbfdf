package display_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// tellResized does what the kernel does for the programs of a terminal. A test has no terminal of its own.
func tellResized(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Error(err)
	}
}

// still shows bars without a moving sign. A frame that is drawn for the old width just when the terminal gets another
// one leaves a line behind: no program knows of the change yet.
func still() progress.State {
	state := halfDone()
	for i := range state.Parts {
		if part := &state.Parts[i]; part.ItemsTotal+part.BytesTotal == 0 {
			part.ItemsTotal = 2 * part.Items
		}
	}
	return state
}

// TestBarsLeaveNothingBehindWhenTheTerminalIsNarrowed narrows terminals that wrap their lines again, and others, which
// cut them.
func TestBarsLeaveNothingBehindWhenTheTerminalIsNarrowed(t *testing.T) {
	for name, narrow := range map[string]func(*terminal.Terminal, testing.TB, int, int){
		"wraps": (*terminal.Terminal).Reflow, "cuts": (*terminal.Terminal).Resize,
	} {
		t.Run(name, func(t *testing.T) {
			term := terminal.New(t, 100, 16)
			screen := display.NewScreen(term.File, environ)
			fmt.Fprintln(screen, "before")
			stop := screen.Show(still)
			fmt.Fprintln(screen, "said")
			term.Await(t, `^before\nsaid\npreparing .*\nscanning .*\nshard 0 .*\n$`)

			for _, width := range []int{60, 45, 90, 40} {
				narrow(term, t, width, 16)
				tellResized(t)
				text := term.Await(t, fmt.Sprintf(`^before\nsaid\npreparing .{1,%d}\nscanning .*\nshard 0 .*\n$`, width))
				if strings.Count(text, "preparing") != 1 {
					t.Errorf("%d columns:\n%s", width, text)
				}
			}

			stop()
			fmt.Fprintln(screen, "after")
			term.Await(t, `^before\nsaid\nafter\n$`)
		})
	}
}

// TestADashboardIsDrawnWhileItIsResized sees changes although the size of the terminal never rests.
func TestADashboardIsDrawnWhileItIsResized(t *testing.T) {
	term := terminal.New(t, 40, 8)
	screen := display.NewScreen(term.File, environ)
	began := time.Now()
	draw := func(int) (head string, body []string) {
		return fmt.Sprintf("second %d.", int(time.Since(began).Seconds())), nil
	}

	ctx, end := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	busy.Go(func() {
		if err := screen.Dashboard(ctx, term.File, term.File, draw, nil); err != nil {
			t.Error(err)
		}
	})
	term.Await(t, `second \d`)
	busy.Go(func() {
		for width := range 1 << 30 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Millisecond):
				term.Resize(t, 40+width%7, 8)
				tellResized(t)
			}
		}
	})

	for range 3 {
		seconds := int(time.Since(began).Seconds())
		term.Await(t, fmt.Sprintf(`second %d\.`, seconds+1))
	}
	end()
	busy.Wait()
}
