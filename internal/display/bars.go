package display

import (
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/spinner"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/guppy-prep/guppy/internal/progress"
)

const (
	// framesPerSecond limits how long a change waits until it is drawn.
	framesPerSecond = 30
	lookEvery       = 200 * time.Millisecond
	// A terminal that has more columns than roomyWidth gets longer bars.
	roomyWidth   = 90
	shortestBar  = 10
	longestBar   = 30
	shortestName = 12
)

// bars shows the progress of some work: a bar for the whole, and one below it for each part.
type bars struct {
	gauge         *progress.Gauge
	width, height int
	reading       progress.Reading
	looks         int
	ended         bool
}

type (
	lookMsg time.Time
	endMsg  struct{}
)

func newBars(source progress.Source) *bars {
	gauge := progress.NewGauge(source, lookEvery)
	return &bars{gauge: gauge, width: 80, height: 24, reading: gauge.Read(time.Now())}
}

// Init implements tea.Model.
func (b *bars) Init() tea.Cmd { return look() }

func look() tea.Cmd { return tea.Tick(lookEvery, func(t time.Time) tea.Msg { return lookMsg(t) }) }

// Update implements tea.Model.
func (b *bars) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		b.width, b.height = msg.Width, msg.Height
	case lookMsg:
		b.reading = b.gauge.Read(time.Time(msg))
		b.looks++
		return b, look()
	case endMsg:
		b.ended = true
		return b, tea.Quit
	}
	return b, nil
}

// View implements tea.Model. The cursor stays visible: a process that is killed can't show it again. It rests where the
// bars begin. A terminal that is narrowed may wrap the bars into more lines, but it keeps the cursor at its character,
// so that all of them are below the cursor and are erased before the bars are drawn again.
func (b *bars) View() tea.View {
	view := tea.NewView("")
	view.DisableBracketedPasteMode = true
	view.Cursor = tea.NewCursor(0, 0)

	if !b.ended {
		view.SetContent(strings.Join(b.lines(), "\n"))
	}
	return view
}

// lines returns the bars as lines that fit the terminal.
func (b *bars) lines() []string {
	readings := append([]progress.Reading{b.reading}, b.reading.Parts...)
	if !b.reading.Started() && len(b.reading.Parts) > 0 {
		readings = readings[1:]
	}

	// The lines of the log need some room, too.
	more := 0
	if room := max(1, b.height/2); len(readings) > room {
		more = len(readings) - room
		readings = readings[:room]
	}

	// A long name, as of a file, must not push the bars off the screen.
	names, counts := 0, 0
	for _, reading := range readings {
		counts = max(counts, lipgloss.Width(reading.Counts()))
	}
	room := b.width - 1 - b.barLength() - percentWidth - 2*gap - counts
	longest := max(shortestName, b.width/4, room)
	for i := range readings {
		readings[i].Doing = ansi.Truncate(Printable(readings[i].Doing), longest, "…")
		names = max(names, lipgloss.Width(readings[i].Doing))
	}

	var lines []string
	for _, reading := range readings {
		lines = append(lines, b.line(reading, names))
	}
	if more > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("and %d more", more)))
	}

	fit := lipgloss.NewStyle().MaxWidth(max(1, b.width-1)).Inline(true)
	for i := range lines {
		lines[i] = fit.Render(lines[i])
	}
	return lines
}

func (b *bars) barLength() int { return min(longestBar, max(shortestBar, b.width-roomyWidth)) }

// line returns the bar of one reading. Work whose total is unknown only shows that it is alive.
func (b *bars) line(reading progress.Reading, names int) string {
	length := b.barLength()

	var shape string
	if fraction, known := reading.Fraction(); known {
		shape = Bar(fraction, length)
	} else {
		frames := spinner.MiniDot.Frames
		shape = lipgloss.NewStyle().Width(length + percentWidth).Render(accent.Render(frames[b.looks%len(frames)]))
	}
	name := reading.Doing + strings.Repeat(" ", names-lipgloss.Width(reading.Doing))
	line := name + "  " + shape + "  "
	return line + faint.Render(fitting(reading.Counts(), b.width-1-lipgloss.Width(line)))
}

// fitting leaves out the first counts if there is no room for all: the rate and the time left are worth more.
func fitting(counts string, room int) string {
	for lipgloss.Width(counts) > room {
		_, rest, several := strings.Cut(counts, ", ")
		if !several || !strings.Contains(rest, ", ") {
			break
		}
		counts = rest
	}
	return counts
}
