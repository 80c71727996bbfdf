package display

import (
	"io"
	"os"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// Column is a column of a table.
type Column struct {
	// Title stands above the column.
	Title string
	// Right aligns the column at its right side, as suits numbers.
	Right bool
	// Optional leaves the column out of a table in which none of its cells has text.
	Optional bool
	// Whole keeps the cells as they are in a table that has to fit. Numbers, which are aligned at the right, are whole
	// anyway.
	Whole bool
	// Widest is the width beyond which the middle of a cell is left out, 0 for none.
	Widest int
	// Identifier keeps more of the beginning of a cell that is shortened than of its end.
	Identifier bool
}

// Table writes rows in columns that are aligned, without borders, below a header. It holds a limited number of rows:
// the widths of columns are those of the first batch of rows, and grow if a later batch needs that.
type Table struct {
	out     io.Writer
	columns []Column
	styled  bool
	// fits is the longest line that the table may have, 0 if any may be.
	fits int

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

// Fit makes the lines of the table at most so wide, unless width is 0. The middles of the widest cells are left out for
// that.
func (t *Table) Fit(width int) { t.fits = width }

// Row adds a row with one cell for each column. A cell is one line.
func (t *Table) Row(cells []string) error {
	t.rows = append(t.rows, cells)
	for i, cell := range cells {
		width := lipgloss.Width(cell)
		if widest := t.columns[i].Widest; widest > 0 {
			width = min(width, widest)
		}
		t.widths[i] = max(t.widths[i], width)
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

	widths := t.fitted()
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = t.columns[i].shortened(cell, widths[i])
		}
	}

	style := func(row, column int) lipgloss.Style { return t.style(row, column, widths[column]) }
	layout := table.New().Rows(t.rows...).StyleFunc(style).Wrap(false).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderHeader(false).
		BorderColumn(false).BorderRow(false)
	if !t.headed {
		layout.Headers(t.titles()...)
	}
	t.rows, t.headed = nil, true

	var text strings.Builder
	for line := range strings.Lines(layout.String()) {
		line = strings.TrimRight(line, " \n")
		if t.fits > 0 { // the numbers alone may be wider
			line = ansi.Truncate(line, t.fits, "…")
		}
		text.WriteString(line + "\n")
	}
	_, err := io.WriteString(t.out, text.String())
	return err
}

// narrowest is the width to which cells are shortened at most.
const narrowest = 6

// fitted returns the widths of the columns, of which the widest are as much narrower as the table has to be.
func (t *Table) fitted() []int {
	widths := slices.Clone(t.widths)
	if t.fits == 0 {
		return widths
	}

	excess := gap*(len(widths)-1) - t.fits
	for _, width := range widths {
		excess += width
	}
	for ; excess > 0; excess-- {
		widest := -1
		for i, column := range t.columns {
			least := max(narrowest, lipgloss.Width(column.Title))
			if !column.Right && !column.Whole && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *Table) titles() (titles []string) {
	for _, column := range t.columns {
		titles = append(titles, column.Title)
	}
	return titles
}

func (t *Table) style(row, column, width int) lipgloss.Style {
	style := lipgloss.NewStyle().Width(width + gap)
	style = style.PaddingRight(gap)
	if column == len(t.columns)-1 {
		style = style.Width(width).PaddingRight(0)
	}
	if t.columns[column].Right {
		style = style.Align(lipgloss.Right)
	}
	if row == table.HeaderRow && t.styled {
		style = style.Bold(true)
	}
	return style
}

// shortened returns a cell that is at most so wide.
func (c Column) shortened(cell string, widest int) string {
	if c.Identifier {
		return withoutMiddle(cell, widest, (widest-1)*identifierHead/(IdentifierWidth-1))
	}
	return WithoutMiddle(cell, widest)
}

// IdentifierWidth is how much of an identifier people need to tell it apart.
const IdentifierWidth = 17

// identifierHead is the width of the beginning of a shortened identifier. Both ends stay, because identifiers of one
// kind often begin alike.
const identifierHead = 10

// Shorten returns a long identifier with its middle left out.
func Shorten(text string) string { return withoutMiddle(text, IdentifierWidth, identifierHead) }

// WithoutMiddle returns a text that is at most so wide. The middle is left out of a longer one, so that its end stays.
func WithoutMiddle(text string, widest int) string { return withoutMiddle(text, widest, (widest-1)/3) }

// withoutMiddle returns a text that is at most so wide, of whose beginning that much is left.
func withoutMiddle(text string, widest, head int) string {
	width := lipgloss.Width(text)
	if width <= widest {
		return text
	}
	tail := widest - 1 - head
	end := ansi.TruncateLeft(text, width-tail, "")
	if lipgloss.Width(end) > tail { // a wide character is there
		end = ansi.TruncateLeft(text, width-tail+1, "")
	}
	return ansi.Truncate(text, head, "") + "…" + end
}
