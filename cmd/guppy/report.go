package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// report is the state of an upload, as prepare and upload print it. NewBytes counts the bytes that all workers
// read during this run. StoredBytes is the size of the upload's shards.
type report struct {
	uploadView
	Nodes       int64         `json:"block_count"`         // number of blocks in its shards
	Shards      []shardView   `json:"shards"`              // shards that it has stored
	NewBytes    int64         `json:"new_bytes"`           // read of the source in this run, by all workers
	StoredBytes int64         `json:"stored_bytes"`        // size of its shards
	Skipped     []pathFailure `json:"left_out_entries"`    // what is not in it, and why
	Replicas    []sentView    `json:"replicas"`            // replicas of its space, and what they lack
	Unchanged   bool          `json:"unchanged,omitempty"` // whether an earlier run made it, and nothing has changed since
	Seconds     float64       `json:"seconds"`             // how long the run took

	source   sqlrepo.Source
	options  sqlrepo.SourceOptions
	failed   int64
	skipping bool
	// tagged is true if the upload got tags although nothing has changed.
	tagged bool
}

func newReport(ctx context.Context, repo *repository, job pipeline.Job, result pipeline.Result, before packedContent,
	took time.Duration) (*report, error) {
	upload, space := result.Upload, job.Space
	r := &report{
		uploadView: newUploadView(space, job.Source, upload, nil), Shards: []shardView{}, Skipped: []pathFailure{},
		Replicas: []sentView{}, Seconds: took.Seconds(), source: job.Source, options: upload.SourceOptions,
		failed: result.Failed, skipping: upload.SkipFailed, Unchanged: result.Unchanged,
		tagged: result.Unchanged && len(job.Tags) > 0,
	}

	// The row of an unfinished upload may lack the totals, so its entries are counted.
	if upload.State != sqlrepo.Complete {
		r.State = incomplete
		counts, err := repo.Counts(ctx, upload.ID)
		if err != nil {
			return nil, err
		}

		r.Files, r.Directories, r.Symlinks, r.Bytes = counts.Files, counts.Directories, counts.Symlinks, counts.Bytes
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

	if r.RootCID != "" {
		fmt.Fprintf(w, "root      %s\n", r.RootCID)
	}

	fmt.Fprintf(w, "source    %s\n", printable(string(r.source.Path)))
	if n := len(r.options.Excludes); n > 0 || r.options.SymlinkPolicy != source.PreserveSymlinks.String() {
		fmt.Fprintf(w, "options   %s, symlinks: %s (stored with the source)\n", plural(int64(n), "exclude"),
			r.options.SymlinkPolicy)
	}

	fmt.Fprintf(w, "upload    %d, %s, in space %s (%s)\n", r.Upload, r.State, r.Space, r.SpaceDID)
	if len(r.Tags) > 0 {
		fmt.Fprintf(w, "tags      %s\n", strings.Join(printables(r.Tags), ", "))
	}
	fmt.Fprintf(w, "content   %s, %s, %s, %s\n", plural(r.Files, "file"), plural(r.Directories, "directory"),
		plural(r.Symlinks, "symlink"), progress.Bytes(r.Bytes))
	fmt.Fprintf(w, "new       %s read, %s stored in %s, in %.1f s\n",
		progress.Bytes(r.NewBytes), progress.Bytes(r.StoredBytes), plural(r.Nodes, "node"), r.Seconds)

	fmt.Fprintf(w, "shards    %d\n", len(r.Shards))
	for _, shard := range r.Shards[:min(len(r.Shards), listed)] {
		fmt.Fprintf(w, "  %s %s %s in %s %s\n",
			shard.CID, shard.Kind, progress.Bytes(shard.Bytes), plural(shard.Blocks, "node"), shard.Location)
	}
	printMore(w, len(r.Shards))
	r.replicasText(w)

	if len(r.Skipped) == 0 {
		return
	}

	fmt.Fprintf(w, "left out  %s", plural(int64(len(r.Skipped)), "entry"))
	if r.failed > 0 {
		fmt.Fprintf(w, " (could not be prepared: %d)", r.failed)
	}
	fmt.Fprintln(w)
	for _, skipped := range r.Skipped[:min(len(r.Skipped), listed)] {
		fmt.Fprintf(w, "  %s: %s\n", printable(skipped.Path), skipped.Reason)
	}
	printMore(w, len(r.Skipped))
}
