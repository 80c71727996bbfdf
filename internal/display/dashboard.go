package display

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/bubbles/v2/viewport"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// Draw returns what a dashboard shows: a line that stays at the top, and lines below it that are scrolled if they do
// not fit. It is safe for concurrent use.
type Draw func(width int) (head string, body []string)

// Interactive reports whether a person may be looking at a terminal and typing there, and the cursor can be moved.
func Interactive(in, out *os.File, environ []string) bool {
	return interactive(in, environ) && interactive(out, environ)
}

// Dashboard fills the terminal until ctx ends or the user quits, and leaves it as it was. It draws every second, and
// when something is sent to changed. What is written to the screen meanwhile appears afterwards.
func (s *Screen) Dashboard(ctx context.Context, in, out *os.File, draw Draw, changed <-chan struct{}) error {
	s.mu.Lock()
	color := s.color
	s.held = &bytes.Buffer{}
	s.mu.Unlock()
	defer s.release()

	s.live.Store(newTakenTerminal(in, out))
	defer s.live.Store(nil)

	// As over SSH, most terminals are asked nothing: an answer that comes after the end would be echoed.
	environ := append(slices.Clone(s.environ), "SSH_TTY=")
	program := tea.NewProgram(newDashboard(draw), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ),
		tea.WithColorProfile(profile(out, s.environ, color)), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))

	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		for {
			select {
			case <-ctx.Done():
				program.Quit()
				return
			case <-changed:
				program.Send(redrawMsg{})
			}
		}
	})

	_, err := program.Run()
	cancel()
	telling.Wait()
	return err
}

// takenTerminal is a terminal that a dashboard fills.
type takenTerminal struct {
	in, out *os.File
	// before is nil if the state could not be read.
	before *term.State
}

func newTakenTerminal(in, out *os.File) *takenTerminal {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		before = nil
	}
	return &takenTerminal{in, out, before}
}

// leaveAlternate leaves the alternate screen and shows the cursor.
const leaveAlternate = ansi.ResetModeAltScreenSaveCursor + ansi.SetModeTextCursorEnable

// Abandon gives the terminal back, for a program that ends without waiting: it erases bars, and ends a dashboard. It
// reports whether there was a dashboard. It waits for nothing.
func (s *Screen) Abandon() bool {
	if s.drawn.Load() != nil {
		_, _ = s.file.WriteString(eraseBars) // the program ends: nobody could do anything about an error
	}

	taken := s.live.Swap(nil)
	if taken == nil {
		return false
	}

	// The program ends: nobody could do anything about an error.
	if taken.before != nil {
		_ = term.Restore(int(taken.in.Fd()), taken.before)
	}
	_, _ = taken.out.WriteString(leaveAlternate)
	return true
}

// mostHeld limits what is kept of the lines that are written while a dashboard is shown.
const mostHeld = 64 << 10

// hold keeps the latest lines until the dashboard is gone.
func (s *Screen) hold(p []byte) (int, error) {
	s.held.Write(p)
	for s.held.Len() > mostHeld {
		if _, err := s.held.ReadBytes('\n'); err != nil {
			break
		}
	}
	return len(p), nil
}

func (s *Screen) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An error of the terminal is not worth another one.
	_, _ = s.out.Write(s.held.Bytes())
	s.held = nil
}

// dashboard is the model of a Dashboard.
type dashboard struct {
	draw Draw
	head string
	body viewport.Model

	width, height int
}

type (
	redrawMsg struct{}
	secondMsg struct{}
)

func newDashboard(draw Draw) *dashboard {
	d := &dashboard{draw: draw, body: viewport.New(), width: 80, height: 24}
	d.redraw()
	return d
}

// Still returns the first screen of a dashboard on a terminal of a size.
func Still(draw Draw, width, height int) string {
	d := newDashboard(draw)
	d.width, d.height = width, height
	d.redraw()
	return d.View().Content
}

// Init implements tea.Model.
func (d *dashboard) Init() tea.Cmd { return second() }

func second() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return secondMsg{} }) }

// Update implements tea.Model.
func (d *dashboard) Update(msg tea.Msg) (model tea.Model, command tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		d.width, d.height = msg.Width, msg.Height
		d.redraw()
	case redrawMsg:
		d.redraw()
	case secondMsg:
		d.redraw()
		return d, second()
	case tea.KeyPressMsg:
		return d, d.press(msg)
	}
	return d, nil
}

func (d *dashboard) press(key tea.KeyPressMsg) (command tea.Cmd) {
	switch key.String() {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "home", "g":
		d.body.GotoTop()
	case "end", "G":
		d.body.GotoBottom()
	default:
		d.body, command = d.body.Update(key)
	}
	return command
}

// redraw draws for the present size. The scrolled lines stay where they are, as far as there are still so many.
func (d *dashboard) redraw() {
	head, body := d.draw(max(1, d.width))
	d.head = head

	// A line each is for the head and the foot.
	d.body.SetWidth(max(1, d.width))
	d.body.SetHeight(max(1, d.height-2))
	d.body.SetContentLines(body)
}

// View implements tea.Model.
func (d *dashboard) View() tea.View {
	foot := "q quits"
	switch {
	case !d.body.AtBottom():
		foot += "  more below: ↑ ↓ PgUp PgDn"
	case !d.body.AtTop():
		foot += "  more above: ↑ ↓ PgUp PgDn"
	}

	lines := append([]string{d.head}, strings.Split(d.body.View(), "\n")...)
	lines = append(lines, Faint(foot))
	for i := range lines {
		lines[i] = Cut(lines[i], d.width)
	}

	// A terminal of one or two lines shows the head.
	lines = lines[:min(len(lines), max(1, d.height))]
	view := tea.NewView(strings.Join(lines, "\n"))
	view.AltScreen = true
	return view
}
