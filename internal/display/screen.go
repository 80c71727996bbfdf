// Package display speaks to a person on a terminal: sentences instead of log lines, bars below them while work is under
// way, and tables.
package display

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/progress"
)

// Screen is standard error. What is written to it appears above the bars of the work that it shows. It is safe for
// concurrent use.
type Screen struct {
	file    *os.File
	environ []string

	// live is the terminal that a dashboard fills, while there is one.
	live atomic.Pointer[takenTerminal]
	// drawn draws the bars, while there are any.
	drawn atomic.Pointer[tea.Program]

	mu    sync.Mutex
	color string
	out   *colorprofile.Writer
	// shown is nil while no work is shown.
	shown *shownBars
	// held is what was written while a dashboard has the terminal. It is nil otherwise.
	held *bytes.Buffer
}

// shownBars is a program that shows bars. It closes gone when it has ended, which it may do by itself if it fails.
type shownBars struct {
	*tea.Program
	gone chan struct{}
}

// alive reports whether the program has not ended.
func (b *shownBars) alive() bool {
	select {
	case <-b.gone:
		return false
	default:
		return true
	}
}

// NewScreen returns a screen that colors its text as the terminal and the environment, such as NO_COLOR, ask for.
func NewScreen(file *os.File, environ []string) *Screen {
	return &Screen{file: file, environ: environ, out: colorprofile.NewWriter(file, environ)}
}

// SetColor sets whether text is colored: always, never, or auto as NewScreen does.
func (s *Screen) SetColor(color string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.color, s.out.Profile = color, profile(s.file, s.environ, color)
}

// IsTerminal reports whether a person may be looking at the screen.
func (s *Screen) IsTerminal() bool { return term.IsTerminal(int(s.file.Fd())) }

// Interactive reports whether a person may be looking at the screen, and the cursor can be moved there.
func (s *Screen) Interactive() bool { return interactive(s.file, s.environ) }

// Is reports whether a writer is the terminal that the screen is.
func (s *Screen) Is(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || !s.IsTerminal() {
		return false
	}
	mine, err := s.file.Stat()
	if err != nil {
		return false
	}
	other, err := file.Stat()
	return err == nil && os.SameFile(mine, other)
}

func interactive(file *os.File, environ []string) bool {
	// Terminals of Windows have no name.
	kind := ""
	for _, variable := range environ {
		if name, found := strings.CutPrefix(variable, "TERM="); found {
			kind = name
		}
	}
	if kind == "dumb" || kind == "" && runtime.GOOS != "windows" {
		return false
	}
	return term.IsTerminal(int(file.Fd()))
}

// Write writes whole lines.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.held != nil:
		return s.hold(p)
	case s.shown == nil || !s.shown.alive():
		return s.out.Write(p)
	}

	var colored bytes.Buffer
	writer := colorprofile.Writer{Forward: &colored, Profile: s.out.Profile}
	if _, err := writer.Write(p); err != nil {
		return 0, err
	}

	// Messages are handled one after another, so the program prints the lines before it ends.
	line := tea.Println(strings.TrimSuffix(colored.String(), "\n"))
	s.shown.Send(line())

	// A program that is failing now drops messages. A line that comes twice is better than one that is lost.
	if !s.shown.alive() {
		return s.out.Write(p)
	}
	return len(p), nil
}

// Show shows how far some work is until stop is called, which erases that. Only one work is shown at a time.
func (s *Screen) Show(source progress.Source) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown != nil || s.held != nil {
		return func() {}
	}

	out := &firstFrame{File: s.file, drawn: make(chan struct{})}
	program := tea.NewProgram(newBars(source), tea.WithInput(nil), tea.WithOutput(out), tea.WithEnvironment(s.environ),
		tea.WithColorProfile(s.out.Profile), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
	shown := &shownBars{program, make(chan struct{})}
	s.shown = shown
	s.drawn.Store(program)

	go func() {
		defer close(shown.gone)
		// A screen that can't be drawn on is not worth an error: the work goes on.
		_, _ = program.Run()
		s.drawn.CompareAndSwap(program, nil)
		out.once.Do(func() { close(out.drawn) })
	}()

	// Lines can only be put above a frame that is there.
	<-out.drawn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.shown != shown {
			return
		}
		program.Send(endMsg{})
		<-shown.gone
		s.shown = nil
	}
}

// cursorShape matches what would change the shape of the cursor, which is the user's choice.
var cursorShape = regexp.MustCompile(`\x1b\[\d* q`)

// firstFrame closes drawn when the first frame was drawn. It leaves the shape of the cursor as it is.
type firstFrame struct {
	*os.File
	once  sync.Once
	drawn chan struct{}
}

func (f *firstFrame) Write(p []byte) (int, error) {
	defer f.once.Do(func() { close(f.drawn) })
	if _, err := f.File.Write(cursorShape.ReplaceAll(p, nil)); err != nil {
		return 0, err
	}
	return len(p), nil
}
