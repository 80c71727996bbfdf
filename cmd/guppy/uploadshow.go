package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadShowHelp = `Show prints everything about an upload, complete or not: where it came from and
went to, its recipe and options, its shards and indexes, what was left out of it
and why, who works on it, and what failed.

` + uploadHelp + `

With --json it prints one object:
  upload, state, space, space_did, root_cid, profile, started_at, finished_at
  source    name, path (path_base64 for the bytes of one that is not UTF-8), and
            removed, true if the source was removed since
  store     name, url and identity; absent if it is not known
  files, directories, symlinks, bytes
            of the content, as far as it was found
  shards    number, blocks and bytes of the shards that the upload has stored,
            planned (the number of those not stored yet), shard_size, piece_cid
            (true if piece CIDs are computed)
  indexes   number, bytes, layout and max_slices
  options   excludes, symlinks, on_error, reread, ignore_inode, ignore_ctime and
            mtime_window_ns
  left_out  list of path, path_base64 and reason
  workers, set_aside, retries
            as guppy status prints them
Sizes are in bytes, times are RFC 3339 in UTC.`

func (a *app) uploadShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show UPLOAD", Short: "Show everything about an upload", Long: uploadShowHelp,
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
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
	Upload      int64          `json:"upload"`
	State       string         `json:"state"`
	Space       string         `json:"space"`
	SpaceDID    sqlrepo.DID    `json:"space_did"`
	RootCID     string         `json:"root_cid"`
	Profile     string         `json:"profile"`
	StartedAt   string         `json:"started_at"`
	FinishedAt  string         `json:"finished_at,omitempty"`
	Source      detailedSource `json:"source"`
	Store       *detailedStore `json:"store,omitempty"`
	Files       int64          `json:"files"`
	Directories int64          `json:"directories"`
	Symlinks    int64          `json:"symlinks"`
	Bytes       int64          `json:"bytes"`

	Shards   detailedShards  `json:"shards"`
	Indexes  detailedIndexes `json:"indexes"`
	Options  detailedOptions `json:"options"`
	LeftOut  []reportLeaves  `json:"left_out"`
	Workers  []workerStatus  `json:"workers"`
	SetAside []failedWork    `json:"set_aside"`
	Retries  []failedWork    `json:"retries"`

	status uploadStatus
}

type detailedSource struct {
	Name       string `json:"name"`
	Path       string `json:"path"`
	PathBase64 string `json:"path_base64,omitempty"`
	Removed    bool   `json:"removed"`
}

type detailedStore struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Identity string `json:"identity"`
}

type detailedShards struct {
	Number    int64 `json:"number"`
	Blocks    int64 `json:"blocks"`
	Bytes     int64 `json:"bytes"`
	Planned   int64 `json:"planned"`
	ShardSize int64 `json:"shard_size"`
	PieceCID  bool  `json:"piece_cid"`
}

type detailedIndexes struct {
	Number    int64  `json:"number"`
	Bytes     int64  `json:"bytes"`
	Layout    string `json:"layout"`
	MaxSlices int64  `json:"max_slices"`
}

type detailedOptions struct {
	Excludes      []string `json:"excludes"`
	SymlinkPolicy string   `json:"symlinks"`
	OnError       string   `json:"on_error"`
	Reread        bool     `json:"reread"`
	IgnoreInode   bool     `json:"ignore_inode"`
	IgnoreCtime   bool     `json:"ignore_ctime"`
	MtimeWindow   int64    `json:"mtime_window_ns"`
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

	path := string(source.Path)
	v := &uploadDetails{
		Upload: upload.ID, State: upload.State.String(), Space: space.Name, SpaceDID: space.DID,
		RootCID: upload.RootCID.String(), Profile: upload.Profile, StartedAt: formatTime(upload.StartedAt),
		FinishedAt: formatTime(upload.FinishedAt),
		Source:     detailedSource{source.Name, path, base64Unless(path), !source.RemovedAt.IsZero()},
		Options:    newDetailedOptions(upload), LeftOut: []reportLeaves{},
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

func newDetailedOptions(upload sqlrepo.Upload) detailedOptions {
	options := detailedOptions{
		Excludes: append([]string{}, upload.Excludes...), SymlinkPolicy: upload.SymlinkPolicy, OnError: "fail",
		Reread: upload.Reread, IgnoreInode: upload.IgnoreInode, IgnoreCtime: upload.IgnoreCtime,
		MtimeWindow: upload.MtimeWindow,
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
			v.Store = &detailedStore{row.Name, row.URL, row.Identity}
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
	v.Files, v.Directories, v.Symlinks, v.Bytes = counts.Files, counts.Directories, counts.Symlinks, counts.Bytes
	return err
}

func (v *uploadDetails) addShards(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	totals, err := repo.Totals(ctx, upload.ID)
	v.Shards = detailedShards{
		Number: totals.Shards, Blocks: totals.Nodes, Bytes: totals.Size, ShardSize: upload.ShardSize,
		PieceCID: upload.PieceCID,
	}
	if !upload.Closed() {
		v.Shards.Planned = upload.PlannedShards - upload.SettledShards
	}
	return err
}

func (v *uploadDetails) addIndexes(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	v.Indexes.Layout, v.Indexes.MaxSlices = upload.IndexLayout, upload.IndexSlices
	stored := sqlrepo.IndexFilter{Upload: &upload.ID, States: []sqlrepo.IndexState{sqlrepo.IndexStored}}
	for row, err := range repo.Indexes(ctx, stored) {
		if err != nil {
			return err
		}
		v.Indexes.Number++
		v.Indexes.Bytes += row.Size
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
	v.Workers, v.SetAside, v.Retries = v.status.Workers, v.status.SetAside, v.status.Retries
	return nil
}

func (v *uploadDetails) text(w io.Writer) {
	line := func(what, format string, values ...any) {
		fmt.Fprintf(w, "%-9s "+format+"\n", append([]any{what}, values...)...)
	}

	line("upload", "%d, %s", v.Upload, v.State)
	line("space", "%s (%s)", printable(v.Space), v.SpaceDID)
	removed := ""
	if v.Source.Removed {
		removed = " (removed)"
	}
	line("source", "%s, %s%s", printable(v.Source.Name), printable(v.Source.Path), removed)
	if v.RootCID != "" {
		line("root", "%s", v.RootCID)
	}
	line("content", "%s, %s, %s, %s", plural(v.Files, "file"), plural(v.Directories, "directory"),
		plural(v.Symlinks, "symlink"), progress.Bytes(v.Bytes))

	line("started", "%s", v.StartedAt)
	if v.FinishedAt != "" {
		line("finished", "%s", v.FinishedAt)
	}
	line("profile", "%s", v.Profile)
	v.Options.text(line)

	if v.Store != nil {
		line("store", "%s, %s", printable(v.Store.Name), printable(v.Store.URL))
	}
	pieces := "no piece CIDs"
	if v.Shards.PieceCID {
		pieces = "piece CIDs"
	}
	line("shards", "%d with %s, %s, of at most %d bytes, %s", v.Shards.Number, plural(v.Shards.Blocks, "block"),
		progress.Bytes(v.Shards.Bytes), v.Shards.ShardSize, pieces)
	if v.Shards.Planned > 0 {
		line("planned", "%s", plural(v.Shards.Planned, "more shard"))
	}
	line("indexes", "%d, %s, layout %s, at most %d slices", v.Indexes.Number, progress.Bytes(v.Indexes.Bytes),
		printable(v.Indexes.Layout), v.Indexes.MaxSlices)

	line("left out", "%d", len(v.LeftOut))
	for _, entry := range v.LeftOut {
		fmt.Fprintf(w, "  %s: %s\n", printable(entry.Path), printable(entry.Reason))
	}

	if v.status.Ended && v.State == sqlrepo.Complete.String() {
		return
	}
	fmt.Fprintln(w, "work")
	v.status.workText(w)
}

// text prints the options that differ from the defaults, and the symlink policy.
func (o detailedOptions) text(line func(what, format string, values ...any)) {
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
		{o.MtimeWindow > 0, fmt.Sprintf("times %s apart are equal", time.Duration(o.MtimeWindow))},
	} {
		if flag.set {
			line("compare", "%s", flag.text)
		}
	}
}
