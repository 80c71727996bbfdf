package main

import (
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// reportsText prints the reports of several sources of a space, of which some may have failed: a line for each report,
// the details of those that are not complete, and the totals. A report that stands alone is printed as prepare does.
// Commands end with here.
func reportsText(w io.Writer, space sqlrepo.Space, reports []*report, failed int) {
	if len(reports) == 1 && failed == 0 {
		reports[0].text(w)
		return
	}
	if len(reports) == 0 {
		return
	}

	table := newTable(w, []display.Column{
		{Title: "SOURCE"}, {Title: "UPLOAD", Right: true}, {Title: "STATE", Whole: true}, {Title: "FILES", Right: true},
		{Title: "SIZE", Right: true}, {Title: "READ", Right: true}, {Title: "LEFT OUT", Right: true},
		{Title: "ROOT", Identifier: true},
	}, true)
	for _, r := range reports {
		// The text is held in memory, so these never fail.
		_ = table.Row([]string{printable(r.Source), fmt.Sprint(r.Upload), stateText(r.State), fmt.Sprint(r.Files),
			progress.Bytes(r.Bytes), progress.Bytes(r.ReadBytes), fmt.Sprint(len(r.Skipped)), r.RootCID})
	}
	_ = table.Flush()

	for _, r := range reports {
		if !r.finished() {
			fmt.Fprintln(w)
			r.text(w)
		}
	}
	fmt.Fprintln(w)
	totals(space, reports, failed).Write(w)
}

// finished reports whether nothing is left to do for the upload.
func (r *report) finished() bool { return r.State != incomplete && !r.replicasLack() }

func totals(space sqlrepo.Space, reports []*report, failed int) *display.Facts {
	sum := report{uploadView: uploadView{contentCounts: &contentCounts{}}}
	shards, complete := 0, 0
	for _, r := range reports {
		sum.Files, sum.Directories, sum.Symlinks = sum.Files+r.Files, sum.Directories+r.Directories, sum.Symlinks+r.Symlinks
		sum.Bytes, sum.ReadBytes = sum.Bytes+r.Bytes, sum.ReadBytes+r.ReadBytes
		sum.StoredBytes += r.StoredBytes
		sum.Seconds += r.Seconds
		sum.shardBytes += r.shardBytes
		shards += len(r.Shards)
		if r.State != incomplete {
			complete++
		}
	}

	facts := &display.Facts{}
	count := fmt.Sprintf("%s, %d complete", plural(int64(len(reports)+failed), "source"), complete)
	if rest := len(reports) - complete; rest > 0 {
		count += ", " + display.Warning(fmt.Sprintf("%d %s", rest, incomplete))
	}
	if failed > 0 {
		count += ", " + display.Failure(fmt.Sprintf("%d failed", failed))
	}
	facts.Add("total", "%s, of space %s", count, printable(space.Name))
	facts.Add("content", "%s", sum.content())
	facts.Add("new", "%s read, %s stored, in %.1f s", progress.Bytes(sum.ReadBytes), progress.Bytes(sum.StoredBytes),
		sum.Seconds)
	facts.Add("shards", "%d, %s", shards, progress.Bytes(sum.shardBytes))

	next := toRun + "upload ls " + arguments(space.Name)
	if failed > 0 || complete < len(reports) {
		next = toRun + "upload " + arguments(space.Name) + " tries again what is not complete"
	}
	facts.Add("next", "%s", next)
	return facts
}
