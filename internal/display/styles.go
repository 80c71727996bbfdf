package display

import (
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// The colors are of the basic sixteen, which every theme keeps readable.
var (
	barColor = lipgloss.Cyan

	faint   = lipgloss.NewStyle().Faint(true)
	accent  = lipgloss.NewStyle().Foreground(barColor)
	warning = lipgloss.NewStyle().Foreground(lipgloss.Yellow).Bold(true)
	strong  = lipgloss.NewStyle().Bold(true)
	heading = lipgloss.NewStyle().Foreground(barColor).Bold(true)
	failure = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
)

// Colors are the values of --color.
var Colors = []string{"auto", "always", "never"}

// profile returns the colors to use. Auto asks the terminal and the environment.
func profile(file *os.File, environ []string, color string) colorprofile.Profile {
	switch color {
	case "always":
		return max(colorprofile.ANSI, colorprofile.Env(withoutNoColor(environ)))
	case "never":
		return colorprofile.NoTTY
	}
	return colorprofile.Detect(file, environ)
}

// withoutNoColor leaves out NO_COLOR, because a flag says more than the environment.
func withoutNoColor(environ []string) []string {
	var rest []string
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "NO_COLOR=") {
			rest = append(rest, variable)
		}
	}
	return rest
}
