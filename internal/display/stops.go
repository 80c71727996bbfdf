package display

import (
	"os"
	"os/signal"
	"slices"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// eraseBars erases the bars, because the cursor rests where they begin.
const eraseBars = "\r" + ansi.EraseScreenBelow

// HeedStops erases bars when the process is stopped, as by Ctrl-Z, because a shell then writes there, and draws them
// again when it goes on. A program calls HeedStops once and ends it at its own end: after that, nothing stops the
// process but SIGSTOP.
func (s *Screen) HeedStops() (end func()) {
	if len(stopping) == 0 || !s.Interactive() || slices.ContainsFunc(stopping, signal.Ignored) {
		return func() {}
	}
	stops, goesOn, done := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(stops, stopping...)
	signal.Notify(goesOn, continued...)

	var listening sync.WaitGroup
	listening.Go(func() {
		for {
			select {
			case <-stops:
				s.stop()
			case <-goesOn:
				s.redraw()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(stops)
		signal.Stop(goesOn)
		close(done)
		listening.Wait()
	}
}

// stop stops the process. An error is not worth a word: the work goes on.
func (s *Screen) stop() {
	if s.drawn.Load() != nil {
		_, _ = s.file.WriteString(eraseBars)
	}
	_ = stopProcess()
	s.redraw()
}

// redraw draws the bars again.
func (s *Screen) redraw() {
	if program := s.drawn.Load(); program != nil {
		program.Send(tea.ClearScreen())
	}
}
