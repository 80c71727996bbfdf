package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// report is the state of an upload, as prepare and upload print it. NewBytes counts the bytes that all workers
// read during this run. StoredBytes is the size of the upload's shards.
type report struct {
	Upload      int64          `json:"upload"`
	Space       sqlrepo.DID    `json:"space"`
	RootCID     string         `json:"root_cid"`
	State       string         `json:"state"`
	Files       int64          `json:"files"`
	Directories int64          `json:"directories"`
	Symlinks    int64          `json:"symlinks"`
	Bytes       int64          `json:"bytes"`
	Nodes       int64          `json:"nodes"`
	Shards      []reportShard  `json:"shards"`
	NewBytes    int64          `json:"new_bytes"`
	StoredBytes int64          `json:"stored_bytes"`
	Skipped     []reportLeaves `json:"skipped"`
	// Replicas is set if the space has replicas.
	Replicas []sentView `json:"replicas,omitempty"`
	Seconds  float64    `json:"seconds"`

	spaceName string
	source    sqlrepo.Source
	options   sqlrepo.SourceOptions
	failed    int64
	skipping  bool
}

type reportShard struct {
	CID      string `json:"cid"`
	Kind     string `json:"kind"`
	Size     int64  `json:"size"`
	Nodes    int64  `json:"nodes"`
	Location string `json:"location"`
	// PieceCID is set if it was computed.
	PieceCID string `json:"piece_cid,omitempty"`
}

type reportLeaves struct {
	Path string `json:"path"`
	// PathBase64 holds the bytes of a path that is not UTF-8.
	PathBase64 string `json:"path_base64,omitempty"`
	Reason     string `json:"reason"`
}

func newReport(ctx context.Context, repo *repository, job pipeline.Job, result pipeline.Result, before packedContent,
	took time.Duration) (*report, error) {
	upload, space := result.Upload, job.Space
	r := &report{
		Upload: upload.ID, Space: space.DID, RootCID: upload.RootCID.String(), State: upload.State.String(),
		Files: upload.Files, Directories: upload.Directories, Symlinks: upload.Symlinks, Bytes: upload.Bytes,
		Shards: []reportShard{}, Skipped: []reportLeaves{}, Seconds: took.Seconds(),
		spaceName: space.Name, source: job.Source, options: upload.SourceOptions, failed: result.Failed,
		skipping: upload.SkipFailed,
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

func leftOut(entry sqlrepo.Entry) reportLeaves {
	view := reportLeaves{Path: entry.Path.String(), Reason: entry.Reason}
	if !utf8.ValidString(view.Path) {
		view.PathBase64 = base64.StdEncoding.EncodeToString([]byte(view.Path))
	}
	return view
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
	if r.RootCID != "" {
		fmt.Fprintf(w, "root      %s\n", r.RootCID)
	}

	fmt.Fprintf(w, "source    %s\n", printable(string(r.source.Path)))
	if n := len(r.options.Excludes); n > 0 || r.options.SymlinkPolicy != source.PreserveSymlinks.String() {
		fmt.Fprintf(w, "options   %s, symlinks: %s (stored with the source)\n", plural(int64(n), "exclude"),
			r.options.SymlinkPolicy)
	}

	fmt.Fprintf(w, "upload    %d, %s, in space %s (%s)\n", r.Upload, r.State, r.spaceName, r.Space)
	fmt.Fprintf(w, "content   %s, %s, %s, %s\n", plural(r.Files, "file"), plural(r.Directories, "directory"),
		plural(r.Symlinks, "symlink"), progress.Bytes(r.Bytes))
	fmt.Fprintf(w, "new       %s read, %s stored in %s, in %.1f s\n",
		progress.Bytes(r.NewBytes), progress.Bytes(r.StoredBytes), plural(r.Nodes, "node"), r.Seconds)

	fmt.Fprintf(w, "shards    %d\n", len(r.Shards))
	for _, shard := range r.Shards[:min(len(r.Shards), listed)] {
		fmt.Fprintf(w, "  %s %s %s in %s %s\n",
			shard.CID, shard.Kind, progress.Bytes(shard.Size), plural(shard.Nodes, "node"), shard.Location)
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
