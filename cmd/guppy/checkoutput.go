package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
)

// checkView is the output of check.
type checkView struct {
	Repairs  []string        `json:"repairs"`  // what a repair has done
	Problems []check.Problem `json:"problems"` // problems and notes; after a repair, those that are left
	checkTail
}

// checkTail is what a check prints when all problems are printed.
type checkTail struct {
	unfinishedView
	checkEnd
	Summary check.Summary `json:"summary"` // what was looked at
}

// checkEnd is how a check ended.
type checkEnd struct {
	finished
	Sound bool `json:"sound"` // whether there are no problems but notes
}

// storeCheckView is the output of store check.
type storeCheckView struct {
	Problems []check.Problem `json:"problems"` // problems and notes
	checkEnd
	Summary check.StoreSummary `json:"summary"` // what was looked at
}

// checkOutput prints problems as they are found, because there may be many.
type checkOutput struct {
	app      *app
	stream   *jsonStream
	problems *rowPrinter[check.Problem]
	// unfinished is what is not done yet.
	unfinished unfinishedView
	// repairable is true if a repair would do something about a problem.
	repairable bool
	// lost is true if there is a problem because of which content may have to be given up.
	lost bool
}

// problemList lists problems. As text they are not a table, because each is a line as soon as it is found.
var problemList = list[check.Problem]{name: "problems"}

func newCheckOutput(a *app) (o *checkOutput, err error) {
	o = &checkOutput{app: a, stream: a.streamJSON(), unfinished: noneUnfinished()}
	o.problems, err = problemList.printer(a, o.show)
	return o, err
}

// silent reports whether only problems are printed, by a template, or nothing.
func (o *checkOutput) silent() bool { return o.app.voice.quiet || o.app.listing.format != "" }

// problem takes one problem, which is printed at once unless problems are to be sorted.
func (o *checkOutput) problem(p check.Problem) error {
	o.lost = o.lost || p.Lost()
	o.repairable = o.repairable || p.Repairable() && !p.Note
	return o.problems.row(p)
}

// show prints one problem.
func (o *checkOutput) show(p check.Problem) error {
	if o.app.json {
		return o.element("problems", p)
	}
	kind := ""
	if p.Note {
		kind = "note: "
	}
	_, err := fmt.Fprintf(o.app.stdout, "%s%s; repair: %s\n", kind, oneLine(p.String()), o.app.placed(p.Repair))
	return err
}

// repaired prints what repair has done.
func (o *checkOutput) repaired(change string) error {
	if o.app.json {
		return o.element("repairs", change)
	}
	if o.silent() {
		return nil
	}
	_, err := fmt.Fprintf(o.app.stdout, "repaired: %s\n", o.app.placed(oneLine(change)))
	return err
}

// beginRepairs begins the list of repairs, which is there even if it is empty.
func (o *checkOutput) beginRepairs() error {
	if !o.app.json {
		return nil
	}
	return o.stream.begin("repairs")
}

// element prints an element of a list. Repairs come before problems.
func (o *checkOutput) element(list string, value any) error {
	if err := o.stream.begin(list); err != nil {
		return err
	}
	return o.stream.element(value)
}

// end prints the summary. If the check did not finish, failed is the reason.
func (o *checkOutput) end(summary check.Summary, failed error) error {
	if err := o.problems.end(); err != nil {
		return err
	}
	if o.app.json {
		return o.endJSON(checkTail{o.unfinished, newCheckEnd(summary.Sound(), failed), summary})
	}
	if failed != nil || o.silent() {
		return nil
	}
	err := o.app.write(func(w io.Writer) {
		o.unfinished.text(w)
		fmt.Fprintln(w, checkText(summary))
	})
	return err
}

func newCheckEnd(sound bool, failed error) checkEnd {
	return checkEnd{finished{failed == nil}, failed == nil && sound}
}

func (o *checkOutput) endJSON(further any) error {
	if err := o.stream.begin("problems"); err != nil {
		return err
	}
	return o.stream.end(further)
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
