package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// report is the state of an upload, as prepare and upload print it. ReadBytes counts the bytes that all workers
// read during this run. StoredBytes is the size of the upload's shards, unless an earlier run has stored all of them.
type report struct {
	uploadView
	Nodes       int64         `json:"block_count"`         // number of blocks in its shards, 0 if unchanged
	Shards      []shardView   `json:"shards"`              // shards that it has stored
	ReadBytes   int64         `json:"read_bytes"`          // read of the source in this run, by all workers
	StoredBytes int64         `json:"stored_bytes"`        // size of its shards, 0 if unchanged
	Skipped     []pathFailure `json:"left_out_entries"`    // what is not in it, and why
	Replicas    []sentView    `json:"replicas"`            // replicas of its space, and what they lack
	Unchanged   bool          `json:"unchanged,omitempty"` // whether an earlier run made it, and nothing has changed since
	Seconds     float64       `json:"seconds"`             // how long the run took

	// shardBytes is the size of the shards, whichever run has stored them.
	shardBytes int64

	store    string
	source   sqlrepo.Source
	options  sqlrepo.SourceOptions
	failed   int64
	skipping bool
	// tagged is true if the upload got tags although nothing has changed.
	tagged bool
	// newKey is the file with the key of the space if this run has added the space.
	newKey string
}

func newReport(ctx context.Context, repo *repository, job pipeline.Job, result pipeline.Result, before packedContent,
	took time.Duration) (*report, error) {
	upload, space := result.Upload, job.Space
	r := &report{
		uploadView: newUploadView(space, job.Source, upload, nil), Shards: []shardView{}, Skipped: []pathFailure{},
		Replicas: []sentView{}, Seconds: took.Seconds(), store: job.Store.URL(), source: job.Source,
		options: upload.SourceOptions, failed: result.Failed, skipping: upload.SkipFailed, Unchanged: result.Unchanged,
		tagged: result.Unchanged && len(job.Tags) > 0,
	}

	// The row of an unfinished upload may lack the totals, so its entries are counted.
	if upload.State != sqlrepo.Complete {
		r.State = incomplete
		counts, err := repo.Counts(ctx, upload.ID)
		if err != nil {
			return nil, err
		}
		r.contentCounts = newContentCounts(counts)
	}

	var listing errgroup.Group
	listing.Go(func() error { return r.addShards(ctx, repo, job.Store.URL(), before) })
	listing.Go(func() error { return r.addLeftOut(ctx, repo) })
	listing.Go(func() (err error) {
		r.Tags, err = tagsOf(ctx, repo.Repository, r.Upload)
		return err
	})
	return r, listing.Wait()
}

func (r *report) addLeftOut(ctx context.Context, repo *repository) error {
	for entry, err := range repo.LeftOut(ctx, r.Upload) {
		if err != nil {
			return err
		}
		r.Skipped = append(r.Skipped, leftOut(entry))
	}
	return nil
}

func leftOut(entry sqlrepo.Entry) pathFailure {
	return pathFailure{newPathRef(entry.Path.String()), entry.Reason}
}

// incomplete is the printed state of an upload that a run left unfinished, at whatever stage.
const incomplete = "incomplete"

// err returns errIncomplete, with advice, unless the upload is complete, and an error if a replica lacks what it should
// have.
func (r *report) err() error {
	if r.State != incomplete {
		return r.replicasErr()
	}
	advice := "correct them and run again, or complete the upload without them by --on-error skip"
	if r.skipping {
		advice = "correct the source itself and run again"
	}
	return fmt.Errorf("upload %d is not complete: %d %w (see above): %s", r.Upload, r.failed, errIncomplete, advice)
}

func (r *report) text(w io.Writer) {
	if r.Unchanged {
		fmt.Fprintf(w, "nothing has changed since upload %d", r.Upload)
		if r.tagged {
			fmt.Fprint(w, "; it has the given tags now")
		}
		fmt.Fprintln(w)
	}

	facts := &display.Facts{}
	if r.RootCID != "" {
		facts.Add("root", "%s", display.Strong(r.RootCID))
	}

	facts.Add("source", "%s", printable(string(r.source.Path)))
	if n := len(r.options.Excludes); n > 0 || r.options.SymlinkPolicy != source.PreserveSymlinks.String() {
		facts.Add("options", "%s, symlinks: %s (stored with the source)", plural(int64(n), "exclude"),
			r.options.SymlinkPolicy)
	}

	facts.Add("upload", "%d, %s, in space %s (%s)", r.Upload, stateText(r.State), printable(r.Space), r.SpaceDID)
	if len(r.Tags) > 0 {
		facts.Add("tags", "%s", strings.Join(printables(r.Tags), ", "))
	}
	facts.Add("content", "%s", r.content())
	facts.Add("new", "%s read, %s stored in %s, in %.1f s", progress.Bytes(r.ReadBytes), progress.Bytes(r.StoredBytes),
		plural(r.Nodes, "block"), r.Seconds)

	facts.Add("store", "%s", printable(r.store))
	list := ""
	if len(r.Shards) > 0 {
		list = fmt.Sprintf(": "+toRun+"shard ls %d lists them", r.Upload)
	}
	facts.Add("shards", "%d, %s%s", len(r.Shards), progress.Bytes(r.shardBytes), list)
	replicasText(facts, r.Replicas)
	r.leftOutText(facts)

	if r.newKey != "" {
		facts.Add("keys", "%s: back them up, they are nowhere else", printable(filepath.Dir(r.newKey)))
	}
	facts.Add("next", "%s", r.next())
	facts.Write(w)
}

func (r *report) content() string {
	return fmt.Sprintf("%s, %s, %s, %s", plural(r.Files, "file"), plural(r.Directories, "directory"),
		plural(r.Symlinks, "symlink"), progress.Bytes(r.Bytes))
}

// stateText returns the state of an upload so that one that is not complete stands out.
func stateText(state string) string {
	if state == sqlrepo.Complete.String() {
		return state
	}
	return display.Warning(state)
}

func (r *report) leftOutText(facts *display.Facts) {
	if len(r.Skipped) == 0 {
		return
	}

	failed := ""
	if r.failed > 0 {
		failed = fmt.Sprintf(" (could not be prepared: %d)", r.failed)
	}
	facts.Add("left out", "%s%s", plural(int64(len(r.Skipped)), "entry"), failed)
	for _, skipped := range r.Skipped[:min(len(r.Skipped), listed)] {
		facts.Below("%s: %s", printable(skipped.Path), oneLine(skipped.Reason))
	}
	if n := len(r.Skipped); n > listed {
		facts.Below("%s", more(n, fmt.Sprintf(toRun+"upload show %d", r.Upload)))
	}
}

// next returns the command that suits the state of the upload.
func (r *report) next() string {
	switch {
	case r.State == incomplete:
		return continuing(toRun, r.Space, r.source.Name, "") + " tries again what could not be prepared"
	case r.replicasLack():
		return toRun + "worker --exit-when-idle sends to replicas what they lack"
	}
	return toRun + "ls " + r.RootCID
}

func (r *report) replicasLack() bool {
	return slices.ContainsFunc(r.Replicas, func(replica sentView) bool { return replica.Files > 0 })
}
