// Package terminal is a pseudo-terminal for tests, with a screen that they look at.
package terminal

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// Terminal is a terminal of a fixed size.
type Terminal struct {
	// File is the side that programs write to and read from.
	File *os.File

	keys   *os.File
	mu     sync.Mutex
	screen *vt.Emulator
	output bytes.Buffer
	// alternate is true while a program shows the alternate screen.
	alternate bool
	// changed is closed when something was written.
	changed chan struct{}
	ended   chan struct{}
}

// patience is how long a test waits for what has to appear.
const patience = time.Minute

// New returns a terminal that is closed when the test ends.
func New(tb testing.TB, width, height int) *Terminal {
	tb.Helper()
	keys, file, err := pty.Open()
	if err != nil {
		tb.Fatal(err)
	}
	if err := pty.Setsize(keys, winsize(width, height)); err != nil {
		tb.Fatal(err)
	}

	t := &Terminal{
		File: file, keys: keys, screen: vt.NewEmulator(width, height), changed: make(chan struct{}),
		ended: make(chan struct{}),
	}

	t.screen.SetCallbacks(vt.Callbacks{AltScreen: func(on bool) { t.alternate = on }})

	// The emulator answers questions of programs, such as where the cursor is.
	var answering sync.WaitGroup
	answering.Go(func() { _, _ = io.Copy(keys, t.screen) })
	go t.show()

	tb.Cleanup(func() {
		_ = file.Close()
		<-t.ended
		// Closing the emulator would race with the goroutine that reads its answers.
		_ = t.screen.InputPipe().(io.Closer).Close()
		_ = keys.Close()
		answering.Wait()
	})
	return t
}

func winsize(width, height int) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(width), Rows: uint16(height)} //nolint:gosec // small
}

// show draws what is written until the last program has closed the terminal.
func (t *Terminal) show() {
	defer close(t.ended)
	buffer := make([]byte, 64<<10)
	for {
		n, err := t.keys.Read(buffer)
		t.mu.Lock()
		_, _ = t.screen.Write(buffer[:n])
		t.output.Write(buffer[:n])
		close(t.changed)
		t.changed = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Type sends keys to the program.
func (t *Terminal) Type(tb testing.TB, keys string) {
	tb.Helper()
	if _, err := io.WriteString(t.keys, keys); err != nil {
		tb.Fatal(err)
	}
}

// Resize changes the size of the terminal.
func (t *Terminal) Resize(tb testing.TB, width, height int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.screen.Resize(width, height)
	if err := pty.Setsize(t.keys, winsize(width, height)); err != nil {
		tb.Fatal(err)
	}
}

// Reflow changes the size of the terminal as most terminals do: lines that no longer fit are wrapped, and the cursor
// stays at its character. Text loses its colors.
func (t *Terminal) Reflow(tb testing.TB, width, height int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()

	var rows []string
	cursor := t.screen.CursorPosition()
	row, column := 0, 0
	for y, line := range strings.Split(t.screen.String(), "\n") {
		if y == cursor.Y {
			row, column = len(rows)+cursor.X/width, cursor.X%width
		}
		left := []rune(strings.TrimRight(line, " \r"))
		for len(left) > width {
			rows = append(rows, string(left[:width]))
			left = left[width:]
		}
		rows = append(rows, string(left))
	}
	for len(rows) > row+1 && rows[len(rows)-1] == "" {
		rows = rows[:len(rows)-1]
	}
	above := max(0, len(rows)-height) // they are scrolled off the screen
	rows, row = rows[above:], row-above

	t.screen.Resize(width, height)
	_, _ = t.screen.WriteString(ansi.EraseEntireScreen + ansi.CursorHomePosition + strings.Join(rows, "\r\n") +
		ansi.CursorPosition(column+1, row+1))
	if err := pty.Setsize(t.keys, winsize(width, height)); err != nil {
		tb.Fatal(err)
	}
}

// Text returns the lines on the screen, without colors and without blanks at their ends.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text()
}

func (t *Terminal) text() string {
	var text strings.Builder
	for line := range strings.Lines(t.screen.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}

// Output returns all bytes that were written so far.
func (t *Terminal) Output() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.output.String()
}

// CursorHidden reports whether the cursor is invisible.
func (t *Terminal) CursorHidden() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen.CursorHidden()
}

// Alternate reports whether a program shows the alternate screen.
func (t *Terminal) Alternate() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alternate
}

// Await waits until the text on the screen matches a pattern, and returns the text.
func (t *Terminal) Await(tb testing.TB, pattern string) string {
	tb.Helper()
	want := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		t.mu.Lock()
		text, changed := t.text(), t.changed
		t.mu.Unlock()
		if want.MatchString(text) {
			return text
		}

		select {
		case <-changed:
		case <-t.ended:
			tb.Fatalf("the screen never matched %q:\n%s", pattern, text)
		case <-late:
			tb.Fatalf("the screen does not match %q:\n%s", pattern, text)
		}
	}
}
