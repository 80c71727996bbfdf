package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadShowHelp = `Show prints everything about an upload, complete or not: where it came from and
went to, its recipe and options, its shards and indexes, what was left out of it
and why, who works on it, and what failed.

` + uploadHelp + ``

func (a *app) uploadShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show UPLOAD", Short: "Show everything about an upload", Long: uploadShowHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			key, err := findUpload(ctx, repo, args[0])
			if err != nil {
				return err
			}

			view, err := newUploadDetails(ctx, repo, key)
			if err != nil {
				return err
			}
			return a.print(view, view.text)
		}),
	}
}

// uploadDetails is the output of upload show.
type uploadDetails struct {
	uploadView
	SourcePath       string `json:"source_path"`                  // path of the source
	SourcePathBase64 string `json:"source_path_base64,omitempty"` // bytes of the path, if they are not UTF-8
	SourceRemoved    bool   `json:"source_removed"`               // whether the source was removed since
	*storeRef

	Shards      int64         `json:"shard_count"`         // number of shards that it has stored
	Nodes       int64         `json:"block_count"`         // number of blocks in these shards
	StoredBytes int64         `json:"stored_bytes"`        // size of these shards
	Pending     int64         `json:"pending_shard_count"` // number of planned shards that are not stored yet
	Indexes     int64         `json:"index_count"`         // number of indexes that it has stored
	IndexBytes  int64         `json:"index_bytes"`         // size of these indexes
	Recipe      recipeView    `json:"recipe"`              // what fixes its shards and indexes
	Options     optionsView   `json:"options"`             // how its source is scanned and read
	LeftOut     []pathFailure `json:"left_out_entries"`    // what is not in it, and why
	workStatus

	status uploadStatus
}

// recipeView is what fixes the shards and indexes of an upload.
type recipeView struct {
	ShardSize   int64  `json:"shard_size"`       // largest size of a shard, in bytes
	PieceCID    bool   `json:"with_piece_cid"`   // whether piece CIDs are computed
	IndexLayout string `json:"index_layout"`     // how the records of indexes are grouped
	MaxSlices   int64  `json:"index_max_slices"` // largest number of records in an index
}

// optionsView is how the source of an upload is scanned and read.
type optionsView struct {
	Excludes      []string `json:"excludes"`             // patterns of what is left out
	SymlinkPolicy string   `json:"symlink_policy"`       // what becomes of symlinks: preserve, follow or skip
	OnError       string   `json:"on_error"`             // what an entry that can't be prepared does: fail or skip
	Reread        bool     `json:"reread"`               // whether unchanged content is read again
	IgnoreInode   bool     `json:"ignore_inode"`         // whether other inodes count as no change
	IgnoreCtime   bool     `json:"ignore_ctime"`         // whether other ctimes count as no change
	MtimeWindow   float64  `json:"mtime_window_seconds"` // difference up to which modification times are equal
}

func newUploadDetails(ctx context.Context, repo *repository, key int64) (*uploadDetails, error) {
	upload, err := repo.Upload(ctx, key)
	if err != nil {
		return nil, err
	}

	source, err := repo.Source(ctx, upload.Source)
	if err != nil {
		return nil, err
	}
	space, err := spaceOf(ctx, repo, source)
	if err != nil {
		return nil, err
	}

	tags, err := tagsOf(ctx, repo.Repository, key)
	if err != nil {
		return nil, err
	}

	path := string(source.Path)
	v := &uploadDetails{
		uploadView: newUploadView(space, source, upload, tags),
		SourcePath: path, SourcePathBase64: base64Unless(path), SourceRemoved: !source.RemovedAt.IsZero(),
		Recipe:  recipeView{upload.ShardSize, upload.PieceCID, upload.IndexLayout, upload.IndexSlices},
		Options: newOptionsView(upload), LeftOut: []pathFailure{},
	}

	add := []func(context.Context, *repository, sqlrepo.Upload) error{
		v.addStore, v.addCounts, v.addShards, v.addIndexes, v.addLeftOut, v.addStatus,
	}
	for _, part := range add {
		if err := part(ctx, repo, upload); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func newOptionsView(upload sqlrepo.Upload) optionsView {
	options := optionsView{
		Excludes: append([]string{}, upload.Excludes...), SymlinkPolicy: upload.SymlinkPolicy, OnError: "fail",
		Reread: upload.Reread, IgnoreInode: upload.IgnoreInode, IgnoreCtime: upload.IgnoreCtime,
		MtimeWindow: time.Duration(upload.MtimeWindow).Seconds(),
	}
	if upload.SkipFailed {
		options.OnError = "skip"
	}
	return options
}

func (v *uploadDetails) addStore(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	rows, err := repo.Stores(ctx)
	for _, row := range rows {
		if row.Identity == upload.Store {
			ref := newStoreRef(row)
			v.storeRef = &ref
		}
	}
	return err
}

func (v *uploadDetails) addCounts(ctx context.Context, repo *repository, upload sqlrepo.Upload) (err error) {
	counts := upload.Counts
	// The row of an unfinished upload lacks the totals, so its entries are counted.
	if !upload.Closed() {
		counts, err = repo.Counts(ctx, upload.ID)
	}
	v.contentCounts = newContentCounts(counts)
	return err
}

func (v *uploadDetails) addShards(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	totals, err := repo.Totals(ctx, upload.ID)
	v.Shards, v.Nodes, v.StoredBytes = totals.Shards, totals.Nodes, totals.Size
	if !upload.Closed() {
		v.Pending = upload.PlannedShards - upload.SettledShards
	}
	return err
}

func (v *uploadDetails) addIndexes(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	stored := sqlrepo.IndexFilter{Upload: &upload.ID, States: []sqlrepo.IndexState{sqlrepo.IndexStored}}
	for row, err := range repo.Indexes(ctx, stored) {
		if err != nil {
			return err
		}
		v.Indexes++
		v.IndexBytes += row.Size
	}
	return nil
}

func (v *uploadDetails) addLeftOut(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	for entry, err := range repo.LeftOut(ctx, upload.ID) {
		if err != nil {
			return err
		}
		v.LeftOut = append(v.LeftOut, leftOut(entry))
	}
	return nil
}

// addStatus adds who works on the upload, and what failed.
func (v *uploadDetails) addStatus(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	sample, err := newStatusSampler(repo.Repository, &upload.ID).sample(ctx)
	if err != nil {
		return err
	}
	if len(sample.Uploads) == 0 {
		return errors.New("the upload is gone")
	}

	v.status = sample.Uploads[0]
	v.workStatus = v.status.workStatus
	return nil
}

func (v *uploadDetails) text(w io.Writer) {
	facts := &display.Facts{}
	line := facts.Add
	line("upload", "%d, %s", v.Upload, stateText(v.State))
	line("space", "%s (%s)", printable(v.Space), v.SpaceDID)
	removed := ""
	if v.SourceRemoved {
		removed = " (removed)"
	}
	line("source", "%s, %s%s", printable(v.Source), printable(v.SourcePath), removed)
	if v.RootCID != "" {
		line("root", "%s", display.Strong(v.RootCID))
	}
	line("content", "%s, %s, %s, %s", plural(v.Files, "file"), plural(v.Directories, "directory"),
		plural(v.Symlinks, "symlink"), progress.Bytes(v.Bytes))

	line("started", "%s", v.StartedAt.text())
	if v.FinishedAt != "" {
		line("finished", "%s", v.FinishedAt.text())
	}
	if len(v.Tags) > 0 {
		line("tags", "%s", strings.Join(printables(v.Tags), ", "))
	}
	line("profile", "%s", v.Profile)
	v.Options.text(line)

	if v.storeRef != nil {
		line("store", "%s, %s", printable(v.Store), printable(v.StoreURL))
	}
	pieces := "no piece CIDs"
	if v.Recipe.PieceCID {
		pieces = "piece CIDs"
	}
	line("shards", "%d with %s, %s, of at most %s, %s", v.Shards, plural(v.Nodes, "block"),
		progress.Bytes(v.StoredBytes), progress.Bytes(v.Recipe.ShardSize), pieces)
	if v.Pending > 0 {
		line("planned", "%s", plural(v.Pending, "more shard"))
	}
	line("indexes", "%d, %s, layout %s, at most %d slices", v.Indexes, progress.Bytes(v.IndexBytes),
		oneLine(v.Recipe.IndexLayout), v.Recipe.MaxSlices)

	line("left out", "%d", len(v.LeftOut))
	for _, entry := range v.LeftOut {
		facts.Below("%s: %s", printable(entry.Path), oneLine(entry.Reason))
	}
	facts.Write(w)

	if v.status.Ended && v.State == sqlrepo.Complete.String() {
		return
	}
	fmt.Fprintln(w, "work")
	v.status.workText(w)
}

// text prints the options that differ from the defaults, and the symlink policy.
func (o optionsView) text(line func(what, format string, values ...any)) {
	line("options", "symlinks: %s, on error: %s", o.SymlinkPolicy, o.OnError)
	for _, pattern := range o.Excludes {
		line("exclude", "%s", printable(pattern))
	}

	for _, flag := range []struct {
		set  bool
		text string
	}{
		{o.Reread, "all content is read again"},
		{o.IgnoreInode, "inodes are ignored"},
		{o.IgnoreCtime, "ctimes are ignored"},
		{o.MtimeWindow > 0, fmt.Sprintf("times %s apart are equal", time.Duration(o.MtimeWindow*float64(time.Second)))},
	} {
		if flag.set {
			line("compare", "%s", flag.text)
		}
	}
}
