package main

import (
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// plannedEntry is an entry that retrieve would write.
type plannedEntry struct {
	pathRef
	Kind  string `json:"kind"`            // file, directory or symlink
	Bytes *int64 `json:"bytes,omitempty"` // length of a file
	State string `json:"state"`           // new, present (as far as lengths tell), or differs: something else is there
}

var plannedList = list[plannedEntry]{name: "entries", empty: "nothing was selected", columns: []column[plannedEntry]{
	{"STATE", func(v plannedEntry) string { return v.State }, whole},
	{"KIND", func(v plannedEntry) string { return v.Kind }, whole},
	{"SIZE", func(v plannedEntry) string {
		if v.Bytes == nil {
			return ""
		}
		return progress.Bytes(*v.Bytes)
	}, number},
	{"PATH", func(v plannedEntry) string { return printable(v.Path) }, words},
}}

// plannedOutput is the output of retrieve --dry-run.
type plannedOutput struct {
	Entries []plannedEntry `json:"entries"` // entries that would be written, in canonical order
	plannedEnd
}

type plannedEnd struct {
	DryRun bool `json:"dry_run"` // true: nothing was written
	contentCounts
	Kept int64 `json:"kept_bytes"` // length of the files that are there already
	finished
}

// planRetrieval prints what retrieve would write.
func (a *app) planRetrieval(ctx context.Context, repo *repository, named content, found tree.Resolved, out string,
	r retrieve.Retriever) error {
	r.Progress = progress.NewTask("listing", "entry")
	defer a.showProgress(ctx, r.Progress.State)()
	if err := expectEntries(ctx, repo, r, named, found); err != nil {
		return err
	}

	var sum retrieve.Summary
	each := func(yield func(plannedEntry) error) (err error) {
		sum, err = r.DryRun(ctx, found, out, func(planned retrieve.Planned) error {
			view := plannedEntry{pathRef: newPathRef(planned.Path), Kind: planned.Node.Kind.String(), State: planned.State}
			if planned.Node.Kind == tree.File {
				size := int64(planned.Node.Size)
				view.Bytes = &size
			}
			return yield(view)
		})
		if err == nil {
			a.warnOfUnmatched(r.Select)
		}
		return explainSelection(err, r.Select)
	}
	end := func(err error) any {
		counts := contentCounts{sum.Files, sum.Directories, sum.Symlinks, sum.Bytes}
		return plannedEnd{true, counts, sum.Kept, finished{err == nil}}
	}
	return plannedList.each(a, each, end, func() string {
		return fmt.Sprintf("%s, %s, %s, %s; nothing was written", plural(sum.Files, "file"),
			plural(sum.Directories, "directory"), plural(sum.Symlinks, "symlink"), progress.Bytes(sum.Bytes))
	})
}
