package display

import (
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// Facts are the lines of a result. Each has a label, and the texts behind the labels are aligned.
type Facts struct{ facts []fact }

// fact is a line with its label, or without one a line of a list below it.
type fact struct{ label, text string }

const (
	// labelWidth is the width of labels, if none is wider. It lets different results look alike.
	labelWidth = 9
	labelGap   = 1
)

// Add adds a line.
func (f *Facts) Add(label, format string, values ...any) {
	f.facts = append(f.facts, fact{label, fmt.Sprintf(format, values...)})
}

// Below adds a line of a list that belongs to the line before.
func (f *Facts) Below(format string, values ...any) { f.Add("", format, values...) }

// Write writes the lines. A failure of w is that of its next write.
func (f *Facts) Write(w io.Writer) {
	width := labelWidth
	for _, fact := range f.facts {
		width = max(width, lipgloss.Width(fact.label))
	}

	for _, fact := range f.facts {
		if fact.label == "" {
			fmt.Fprintf(w, "  %s\n", fact.text)
			continue
		}
		gap := strings.Repeat(" ", width+labelGap-lipgloss.Width(fact.label))
		fmt.Fprintf(w, "%s%s%s\n", Faint(fact.label), gap, fact.text)
	}
}

// Colored returns a writer to out that keeps the colors of text only as far as out, the environment and --color ask
// for that.
func Colored(out io.Writer, environ []string, color string) io.Writer {
	writer := &colorprofile.Writer{Forward: out, Profile: colorprofile.NoTTY}
	if file, isFile := out.(*os.File); isFile {
		writer.Profile = profile(file, environ, color)
	}
	return writer
}
