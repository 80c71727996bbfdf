package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

func printJSON(w io.Writer, r *report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// printText prints the times, and then how everything that has a target compares with it.
func printText(w io.Writer, r *report) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %s, %d CPUs, tmpfs: %t\n", r.Go, r.System, r.CPUs, r.Tmpfs)

	text.WriteString("\ncorpus\tprogram\tmedian\tmin\truns\n")
	for _, c := range r.Corpora {
		text.WriteString(c.Limit.row(c.Name, "limit"))
		for _, e := range c.Engines {
			text.WriteString(e.Times.row(c.Name, "guppy, "+e.Engine))
		}
	}
	for _, l := range r.Further {
		text.WriteString(l.Times.row(l.Corpus, l.Program+", "+l.Engine))
	}

	text.WriteString("\ncorpus\tengine\twhat\tvalue\ttarget\n")
	for _, c := range r.Corpora {
		for _, e := range c.Engines {
			for _, k := range e.Checks {
				text.WriteString(k.row(c.Name, e.Engine))
			}
		}
	}
	for _, l := range r.Further {
		for _, k := range l.Checks {
			text.WriteString(k.row(l.Corpus, l.Engine))
		}
	}

	for _, l := range r.Further {
		text.WriteString(l.counted())
	}

	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	if _, err := io.WriteString(table, text.String()); err != nil {
		return err
	}
	return table.Flush()
}

// counted returns a row of what was counted, or "" if nothing was.
func (l line) counted() string {
	if len(l.Counts) == 0 {
		return ""
	}
	var cells []string
	for _, c := range l.Counts {
		cells = append(cells, c.What+" "+c.number())
	}
	return strings.Join([]string{l.Corpus, l.Engine, l.Program, strings.Join(cells, ", ")}, "\t") + "\n"
}

// number formats a whole number without decimals, and any other with two.
func (c count) number() string {
	if c.Value == math.Trunc(c.Value) {
		return strconv.FormatFloat(c.Value, 'f', 0, 64)
	}
	return strconv.FormatFloat(c.Value, 'f', 2, 64)
}

func (t times) row(corpus, program string) string {
	return fmt.Sprintf("%s\t%s\t%.3f s\t%.3f s\t%d\n", corpus, program, t.Median, t.Min, len(t.All))
}

func (k check) row(corpus, engine string) string {
	verdict := "ok"
	if !k.OK {
		verdict = "over"
	}
	return strings.Join([]string{corpus, engine, k.What, k.number(k.Value), k.bound(), verdict}, "\t") + "\n"
}

// printMarkdown prints a row for each corpus and engine, then one for each further check, with targets in brackets.
func printMarkdown(w io.Writer, r *report) error {
	var text strings.Builder

	// Without the experiment prepare this table has no rows.
	if len(r.Corpora) > 0 {
		text.WriteString("| corpus | engine | limit | guppy | ratio | peak memory | database |\n")
		text.WriteString("|---|---|---|---|---|---|---|\n")
	}

	for _, c := range r.Corpora {
		for _, e := range c.Engines {
			cells := []string{c.Name, e.Engine, fmt.Sprintf("%.2f s", c.Limit.Median), fmt.Sprintf("%.2f s", e.Times.Median)}
			for _, k := range e.Checks {
				cells = append(cells, k.cell())
			}
			fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
		}
	}

	text.WriteString(furtherMarkdown(r.Further))
	text.WriteString(countedMarkdown(r.Further))
	_, err := io.WriteString(w, text.String())
	return err
}

func furtherMarkdown(lines []line) string {
	var text strings.Builder
	for _, l := range lines {
		for _, k := range l.Checks {
			if text.Len() == 0 {
				text.WriteString("\n| corpus | engine | what | time | value |\n|---|---|---|---|---|\n")
			}
			cells := []string{l.Corpus, l.Engine, k.What, fmt.Sprintf("%.2f s", l.Times.Median), k.cell()}
			fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	return text.String()
}

// countedMarkdown prints a row for each line with counts. All of them have the same ones.
func countedMarkdown(lines []line) string {
	var text strings.Builder
	for _, l := range lines {
		if len(l.Counts) == 0 {
			continue
		}

		heads := []string{"corpus", "engine", "program", "time"}
		cells := []string{l.Corpus, l.Engine, l.Program, fmt.Sprintf("%.2f s", l.Times.Median)}
		for _, c := range l.Counts {
			heads, cells = append(heads, c.What), append(cells, c.number())
		}
		if text.Len() == 0 {
			fmt.Fprintf(&text, "\n| %s |\n%s|\n", strings.Join(heads, " | "), strings.Repeat("|---", len(heads)))
		}
		fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
	}
	return text.String()
}

// cell returns the value with its target, and what the value is counted per if its heading does not say that.
func (k check) cell() string {
	text := k.number(k.Value)
	if _, per, found := strings.Cut(k.What, " per "); found {
		text += " per " + per
	}

	text += " (" + k.bound() + ")"
	if !k.OK {
		text += " **over**"
	}
	return text
}

// number formats a value, with two decimals if it is a ratio or a time.
func (k check) number(value float64) string {
	switch k.Unit {
	case "":
		return strconv.FormatFloat(value, 'f', 2, 64)
	case "s":
		return strconv.FormatFloat(value, 'f', 2, 64) + " s"
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + " " + k.Unit
}

func (k check) bound() string { return k.Relation + " " + k.number(k.Target) }
