package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
)

// print writes a result to standard output, as JSON if the user asked for it. The type of the result is one of those
// that jsonOutputs lists for the command. With --quiet, only JSON is written.
func (a *app) print(result any, text func(io.Writer)) error {
	if a.json {
		return writeJSON(a.stdout, result)
	}
	if a.voice.quiet {
		return nil
	}

	return a.write(text)
}

// write writes a text whose commands begin with toRun to standard output.
func (a *app) write(text func(io.Writer)) error {
	out := sheet{width: a.width()}
	text(&out)
	_, err := a.colored().Write([]byte(a.placedResult(out.String())))
	return err
}

// sayAside says something about a result on standard error, such as that it is empty. Programs that read JSON see that,
// and with --quiet nobody wants to know.
func (a *app) sayAside(text string) error {
	if a.json || a.voice.quiet {
		return nil
	}
	if a.logsJSON.Load() { // each line is an object
		a.log.Info(text)
		return nil
	}
	_, err := fmt.Fprintln(a.screen, a.placed(text))
	return err
}

// sheet is the text of a result, whose tables are at most so wide, unless that is 0.
type sheet struct {
	bytes.Buffer
	width int
}

// printWithNext is like print. On a terminal the text ends with a line about the next step, unless next is "".
func (a *app) printWithNext(result any, text func(io.Writer), next string) error {
	return a.print(result, func(w io.Writer) {
		text(w)
		if next != "" && a.onTerminal() {
			facts := &display.Facts{}
			facts.Add("next", "%s", next)
			facts.Write(w)
		}
	})
}

// colored returns a writer to standard output that keeps colors as far as the user wants them.
func (a *app) colored() io.Writer {
	if _, above := a.stdout.(*lineWriter); above {
		return a.stdout // the screen does that for what appears above bars
	}
	return display.Colored(a.stdout, a.environ, a.voice.color)
}

// listed is the number of paths that are printed of a list, so that a result fits on a screen. The rest is counted.
const listed = 10

// printMore says how many rows of a list were not printed, and which command lists all, unless that is "".
func printMore(w io.Writer, n int, all string) {
	if n > listed {
		fmt.Fprintf(w, "  %s\n", more(n, all))
	}
}

func more(n int, all string) string {
	if all == "" {
		return fmt.Sprintf("and %d more", n-listed)
	}
	return fmt.Sprintf("and %d more: %s lists all", n-listed, all)
}

// printableLines returns a text with escapes in place of what could upset a terminal. Its lines and tabs stay.
func printableLines(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' {
			out.WriteRune(r)
		} else {
			out.WriteString(oneLine(string(r)))
		}
	}
	return out.String()
}

// plural returns a number of things that are called what in the singular, such as "1 file" or "2 entries".
func plural(n int64, what string) string { return progress.Count(n, what) }

// base64Unless returns the base64 form of a name that JSON can't hold, and "" for any other name.
func base64Unless(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(name))
}
