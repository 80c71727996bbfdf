package display

import (
	"strings"

	bar "charm.land/bubbles/v2/progress"
	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/x/ansi"
)

// Heading returns the title of a section.
func Heading(title string) string { return heading.Render(title) }

// Strong returns text that stands out.
func Strong(text string) string { return strong.Render(text) }

// Faint returns text that matters less than what is beside it.
func Faint(text string) string { return faint.Render(text) }

// Warning returns text that says that something needs a look.
func Warning(text string) string { return warning.Render(text) }

// Failure returns text that says that something is wrong.
func Failure(text string) string { return failure.Render(text) }

// BarLength returns the length of a bar that suits a width.
func BarLength(width int) int { return min(longestBar, max(shortestBar, width/4)) }

// Bar returns a bar of so many columns, and its percentage.
func Bar(fraction float64, length int) string {
	return bar.New(bar.WithWidth(length+percentWidth), bar.WithColors(barColor),
		bar.WithFillCharacters(bar.DefaultFullCharFullBlock, bar.DefaultEmptyCharBlock)).ViewAs(fraction)
}

// percentWidth is the room of a percentage beside its bar.
const percentWidth = 5

var sparks = []rune("▁▂▃▄▅▆▇█")

// Sparkline returns a column for each of the last values, which are at least 0, as many as fit the width. The highest
// of them has the whole height.
func Sparkline(values []float64, width int) string {
	values = values[max(0, len(values)-max(0, width)):]
	highest := 0.0
	for _, value := range values {
		highest = max(highest, value)
	}

	var line strings.Builder
	for _, value := range values {
		step := 0
		if highest > 0 {
			step = int(value / highest * float64(len(sparks)-1))
		}
		line.WriteRune(sparks[step])
	}
	return accent.Render(line.String())
}

// Columns returns rows in columns below their titles. Cells are cut if the lines would be wider than width.
func Columns(width int, titles []string, rows [][]string) []string {
	layout := table.New().Headers(titles...).Rows(rows...).Wrap(false).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderHeader(false).
		BorderColumn(false).BorderRow(false).StyleFunc(func(row, column int) lipgloss.Style {
		style := lipgloss.NewStyle()
		if column < len(titles)-1 {
			style = style.PaddingRight(gap)
		}
		if row == table.HeaderRow {
			style = style.Inherit(faint)
		}
		return style
	})

	text := layout.String()
	if lipgloss.Width(text) > width {
		text = layout.Width(width).String()
	}

	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Cut(strings.TrimRight(lines[i], " "), width)
	}
	return lines
}

// Cut returns a line that is at most width wide.
func Cut(line string, width int) string { return ansi.Truncate(line, max(0, width), "…") }

// Wrap returns text as lines that are at most width wide, each behind an indent of so many columns.
func Wrap(text string, width, indent int) []string {
	indent = min(indent, max(0, width-1))
	lines := strings.Split(ansi.Wrap(text, max(1, width-indent), "/"), "\n")
	for i := range lines {
		lines[i] = Cut(strings.Repeat(" ", indent)+strings.TrimRight(lines[i], " "), width)
	}
	return lines
}

// Width returns the number of columns that the widest line of a text takes.
func Width(text string) int { return lipgloss.Width(text) }
