package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
)

// checkOutput prints problems as they are found, because there may be many. In JSON they are the elements of
// arrays that follow one another in one object.
type checkOutput struct {
	app *app
	// list is the open array. nonEmpty is true if that array has an element.
	list     string
	nonEmpty bool
	// repairable is true if a repair would do something about a problem.
	repairable bool
}

func newCheckOutput(a *app) *checkOutput { return &checkOutput{app: a} }

// problem prints one problem.
func (o *checkOutput) problem(p check.Problem) error {
	o.repairable = o.repairable || p.Repairable() && !p.Note
	if o.app.json {
		return o.element("problems", p)
	}
	kind := ""
	if p.Note {
		kind = "note: "
	}
	_, err := fmt.Fprintf(o.app.stdout, "%s%s; repair: %s\n", kind, printable(p.String()), p.Repair)
	return err
}

// repaired prints what repair has done.
func (o *checkOutput) repaired(change string) error {
	if o.app.json {
		return o.element("repaired", change)
	}
	_, err := fmt.Fprintf(o.app.stdout, "repaired: %s\n", printable(change))
	return err
}

func (o *checkOutput) element(list string, value any) error {
	if err := o.open(list); err != nil {
		return err
	}

	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}

	separator := ""
	if o.nonEmpty {
		separator = ","
	}
	o.nonEmpty = true

	_, err = fmt.Fprintf(o.app.stdout, "%s%s", separator, encoded)
	return err
}

// open begins the named array, unless it is open already.
func (o *checkOutput) open(list string) error {
	if o.list == list {
		return nil
	}

	before := "{"
	if o.list != "" {
		before = "],"
	}
	o.list, o.nonEmpty = list, false

	_, err := fmt.Fprintf(o.app.stdout, "%s%q:[", before, list)
	return err
}

// end prints the summary. If the check did not finish, failed is the reason.
func (o *checkOutput) end(summary check.Summary, failed error) error {
	if o.app.json {
		return o.endJSON(summary, summary.Sound(), failed)
	}
	if failed != nil || o.app.voice.quiet {
		return nil
	}
	_, err := fmt.Fprintln(o.app.stdout, checkText(summary))
	return err
}

func (o *checkOutput) endJSON(summary any, sound bool, failed error) error {
	if err := o.open("problems"); err != nil {
		return err
	}

	encoded, err := json.Marshal(summary)
	if err != nil {
		return err
	}

	_, err = fmt.Fprintf(o.app.stdout, "],\"complete\":%t,\"sound\":%t,\"summary\":%s}\n",
		failed == nil, failed == nil && sound, encoded)
	return err
}

// checkText returns the last line of a check.
func checkText(s check.Summary) string {
	text := fmt.Sprintf("%s, %s: %s with %s, %s", plural(s.Problems, "problem"), plural(s.Notes, "note"),
		plural(s.Uploads, "upload"), plural(s.Blocks, "block"), plural(s.Shards, "shard"))
	if s.Read > 0 {
		text += fmt.Sprintf(", %d of them read (%s)", s.Read, progress.Bytes(s.Bytes))
	}
	if len(s.Sample) > 0 {
		text += ": shards " + strings.Trim(fmt.Sprint(s.Sample), "[]")
	}
	if s.Copies > 0 {
		text += "; " + plural(s.Copies, "file") + " in replicas"
	}
	if s.CopiesRead > 0 {
		text += fmt.Sprintf(", %d of them read", s.CopiesRead)
	}
	return text
}
