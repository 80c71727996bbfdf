package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

func printJSON(w io.Writer, r *report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// printText prints the times, then how all that has a target compares with it.
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
	text.WriteString("\ncorpus\tengine\twhat\tvalue\ttarget\n")
	for _, c := range r.Corpora {
		for _, e := range c.Engines {
			for _, k := range e.Checks {
				text.WriteString(k.row(c.Name, e.Engine))
			}
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	if _, err := io.WriteString(table, text.String()); err != nil {
		return err
	}
	return table.Flush()
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

// printMarkdown prints a row for each corpus and engine, targets in brackets.
func printMarkdown(w io.Writer, r *report) error {
	var text strings.Builder
	text.WriteString("| corpus | engine | limit | guppy | ratio | peak memory | database |\n")
	text.WriteString("|---|---|---|---|---|---|---|\n")
	for _, c := range r.Corpora {
		for _, e := range c.Engines {
			cells := []string{c.Name, e.Engine, fmt.Sprintf("%.2f s", c.Limit.Median), fmt.Sprintf("%.2f s", e.Times.Median)}
			for _, k := range e.Checks {
				cells = append(cells, k.cell())
			}
			fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// cell is the value with its target, and what the value is for if its heading doesn't say that.
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

// number has two decimals if it is a ratio.
func (k check) number(value float64) string {
	if k.Unit == "" {
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + " " + k.Unit
}

func (k check) bound() string {
	if k.Unit == "" {
		return "≤ " + k.number(k.Target)
	}
	return "< " + k.number(k.Target)
}
