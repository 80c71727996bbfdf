package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) shardCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "shard", Short: "List, read and remove shards", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(a.shardLsCommand(), a.shardCatCommand(), a.shardRmCommand())
	return command
}

const shardLsHelp = `Ls lists the shards of an upload, of all uploads of a space, or of all uploads.
A shard is planned, packed, or empty, which means that the space held all of its
blocks: it has no file.

` + uploadOrSpaceHelp

func (a *app) shardLsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "ls [UPLOAD|SPACE]", Short: "List shards", Long: shardLsHelp, Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: a.readingCommand(a.listShards),
	}
	a.addListFlags(command)
	return command
}

// noneOf is what is said about uploads without shards or indexes.
func noneOf(what string, args []string) string {
	if len(args) == 0 {
		return fmt.Sprintf("no %s yet: guppy prepare PATH makes them", what)
	}
	return fmt.Sprintf("no %s in %s: guppy status shows how far its uploads are", what, printable(args[0]))
}

// shardView is a shard.
type shardView struct {
	CID      string `json:"cid,omitempty"`       // CID of the shard, once it is packed
	Kind     string `json:"kind"`                // data or dag
	State    string `json:"state"`               // planned, packed, or empty: other shards have all of its blocks
	Bytes    int64  `json:"bytes"`               // size of the shard
	Blocks   int64  `json:"block_count"`         // number of its blocks
	Upload   int64  `json:"upload"`              // number of the upload that has stored it
	Ordinal  int64  `json:"ordinal"`             // its number in the upload
	Location string `json:"location,omitempty"`  // where its file is
	IndexCID string `json:"index_cid,omitempty"` // CID of the index that covers it
	PieceCID string `json:"piece_cid,omitempty"` // its piece CID, if it was computed
}

// shardList lists shards.
func shardList(empty string) list[shardView] {
	return list[shardView]{name: "shards", empty: empty, columns: []column[shardView]{
		{"SHARD", func(v shardView) string { return cmp.Or(v.CID, fmt.Sprintf("(%d)", v.Ordinal)) }, identifier},
		{"KIND", func(v shardView) string { return v.Kind }, whole},
		{"STATE", func(v shardView) string { return v.State }, whole},
		{"SIZE", func(v shardView) string { return progress.Bytes(v.Bytes) }, number},
		{"BLOCKS", func(v shardView) string { return fmt.Sprint(v.Blocks) }, number},
		{"UPLOAD", func(v shardView) string { return fmt.Sprint(v.Upload) }, number},
		{"INDEX", func(v shardView) string { return v.IndexCID }, identifier | optional},
		{"PIECE", func(v shardView) string { return v.PieceCID }, identifier | optional},
		{"LOCATION", func(v shardView) string { return v.place() }, words},
	}}
}

// place returns where the file of the shard is, or why the shard has no file.
func (v shardView) place() string {
	if v.State == sqlrepo.ShardEmpty.String() {
		return "stored earlier"
	}
	return printable(v.Location)
}

func (a *app) listShards(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
	uploads, err := uploadsOf(ctx, repo, args)
	if err != nil {
		return err
	}

	urls, err := storeURLs(ctx, repo)
	if err != nil {
		return err
	}

	return shardList(noneOf("shards", args)).stream(a, func(yield func(shardView) error) error {
		for _, upload := range uploads {
			if err := eachShard(ctx, repo, upload, urls[upload.Store], yield); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachShard yields the shards of an upload, whose store is at a URL.
func eachShard(ctx context.Context, repo *repository, upload sqlrepo.Upload, storeURL string,
	yield func(shardView) error) error {
	shards := newShardViews(repo, storeURL)
	for row, err := range repo.Shards(ctx, upload.ID, sqlrepo.ShardFilter{}) {
		if err != nil {
			return err
		}
		view, err := shards.view(ctx, row)
		if err != nil {
			return err
		}
		if err := yield(view); err != nil {
			return err
		}
	}
	return nil
}

// shardViews makes views of the shards of an upload.
type shardViews struct {
	repo     *repository
	storeURL string
	// covering holds the CID of an index by its key. Consecutive shards mostly have the same index, so only the latest
	// one is remembered.
	covering map[int64]string
}

func newShardViews(repo *repository, storeURL string) *shardViews {
	return &shardViews{repo, storeURL, map[int64]string{}}
}

func (s *shardViews) view(ctx context.Context, row sqlrepo.Shard) (view shardView, err error) {
	if _, known := s.covering[row.Index]; !known && row.Index != 0 {
		index, err := s.repo.Index(ctx, row.Index)
		if err != nil && !errors.Is(err, sqlrepo.ErrNotFound) {
			return view, err
		}
		clear(s.covering)
		s.covering[row.Index] = indexCID(index)
	}

	view = shardView{Kind: row.Kind.String(), State: row.State.String(), Bytes: row.Size, Blocks: row.Nodes,
		Upload: row.Upload, Ordinal: row.Ordinal, IndexCID: s.covering[row.Index]}
	if len(row.Digest) == len(sqlrepo.Digest{}) {
		view.CID = car.ShardCID([32]byte(row.Digest)).String()
		view.Location = store.BlobURL(s.storeURL, shard.Name([32]byte(row.Digest)))
	}
	view.PieceCID, err = pieceCID(row)
	return view, err
}

// indexCID returns the CID of an index, or "" if the index has none.
func indexCID(row sqlrepo.Index) string {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return ""
	}
	return blobindex.CID([32]byte(row.Digest)).String()
}

// uploadsOf returns the upload that an argument names, or those of the space that it names. Without an argument it
// returns all uploads.
func uploadsOf(ctx context.Context, repo *repository, args []string) ([]sqlrepo.Upload, error) {
	if len(args) == 0 {
		return repo.Uploads(ctx, sqlrepo.UploadFilter{})
	}

	name, err := nameUpload(ctx, repo, args[0])
	if err != nil {
		return nil, err
	}
	if name.alone {
		return repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &name.space.ID})
	}

	key, err := name.upload(ctx, repo)
	if err != nil {
		return nil, err
	}
	upload, err := repo.Upload(ctx, key)
	return []sqlrepo.Upload{upload}, err
}

// parseBlob returns the digest of the shard or index that a CID or the name of a file stands for.
func parseBlob(text string) (digest sqlrepo.Digest, err error) {
	if digest, ok := shard.ParseName(text); ok {
		return digest, nil
	}
	if digest, ok := blobindex.ParseName(text); ok {
		return digest, nil
	}

	parsed, err := cid.Decode(text)
	if err == nil {
		if digest, ok := shard.ParseName(parsed.String() + ".car"); ok {
			return digest, nil
		}
	}

	return digest, fmt.Errorf("%w: %q is not the CID of a shard or an index (guppy shard ls, guppy index ls)", errUsage,
		text)
}
