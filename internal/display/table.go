package display

import (
	"io"
	"os"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
)

// Column is a column of a table.
type Column struct {
	// Title stands above the column.
	Title string
	// Right aligns the column at its right side, as suits numbers.
	Right bool
	// Optional leaves the column out of a table in which none of its cells has text.
	Optional bool
}

// Table writes rows in columns that are aligned, without borders, below a header. It holds a limited number of rows:
// the widths of columns are those of the first batch of rows, and grow if a later batch needs that.
type Table struct {
	out     io.Writer
	columns []Column
	styled  bool

	widths []int
	rows   [][]string
	headed bool
}

// batch is the number of rows that are laid out together.
const batch = 1000

// gap is the space between two columns.
const gap = 2

// Styled reports whether text that is written to out may have styles, such as bold, by a value of --color.
func Styled(out io.Writer, environ []string, color string) bool {
	file, isFile := out.(*os.File)
	if !isFile {
		return color == "always"
	}
	return profile(file, environ, color) > colorprofile.NoTTY
}

// NewTable returns a table that is written to out. The header is in bold if styled is true.
func NewTable(out io.Writer, columns []Column, styled bool) *Table {
	t := &Table{out: out, columns: slices.Clone(columns), styled: styled, widths: make([]int, len(columns))}
	for i, column := range columns {
		t.widths[i] = lipgloss.Width(column.Title)
	}
	return t
}

// Row adds a row with one cell for each column. A cell is one line.
func (t *Table) Row(cells []string) error {
	t.rows = append(t.rows, cells)
	for i, cell := range cells {
		t.widths[i] = max(t.widths[i], lipgloss.Width(cell))
	}

	if len(t.rows) < batch {
		return nil
	}
	return t.write()
}

// Flush writes the rows that have not been written yet. The header comes with the first of them, so a table without
// rows is empty.
func (t *Table) Flush() error {
	if !t.headed {
		t.leaveOut()
	}
	return t.write()
}

// leaveOut removes the optional columns that are empty.
func (t *Table) leaveOut() {
	for i := len(t.columns) - 1; i >= 0; i-- {
		filled := slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" })
		if filled || !t.columns[i].Optional {
			continue
		}
		t.columns, t.widths = slices.Delete(t.columns, i, i+1), slices.Delete(t.widths, i, i+1)
		for j, row := range t.rows {
			t.rows[j] = slices.Delete(row, i, i+1)
		}
	}
}

// write writes the rows.
func (t *Table) write() error {
	if len(t.rows) == 0 {
		return nil
	}

	layout := table.New().Rows(t.rows...).StyleFunc(t.style).Wrap(false).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderHeader(false).
		BorderColumn(false).BorderRow(false)
	if !t.headed {
		layout.Headers(t.titles()...)
	}
	t.rows, t.headed = nil, true

	var text strings.Builder
	for line := range strings.Lines(layout.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(t.out, text.String())
	return err
}

func (t *Table) titles() (titles []string) {
	for _, column := range t.columns {
		titles = append(titles, column.Title)
	}
	return titles
}

func (t *Table) style(row, column int) lipgloss.Style {
	style := lipgloss.NewStyle().Width(t.widths[column] + gap)
	style = style.PaddingRight(gap)
	if column == len(t.columns)-1 {
		style = style.Width(t.widths[column]).PaddingRight(0)
	}
	if t.columns[column].Right {
		style = style.Align(lipgloss.Right)
	}
	if row == table.HeaderRow && t.styled {
		style = style.Bold(true)
	}
	return style
}

// Shorten returns a long identifier with its middle left out. Both ends stay, because identifiers of one kind often
// begin alike.
func Shorten(text string) string {
	const head, tail = 10, 6
	if len(text) <= head+1+tail {
		return text
	}
	return text[:head] + "…" + text[len(text)-tail:]
}

// WithoutMiddle returns a text of at most so many characters. The middle is left out of a longer one, so that its end
// stays.
func WithoutMiddle(text string, longest int) string {
	runes := []rune(text)
	if len(runes) <= longest {
		return text
	}
	head := (longest - 1) / 3
	return string(runes[:head]) + "…" + string(runes[len(runes)-(longest-1-head):])
}
