package main

import (
	"context"
	"errors"
	"fmt"
	"io"

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

const shardLsHelp = `Ls lists the planned and packed shards of an upload, of all uploads of a space,
or of all uploads. A line shows the CID, kind, state, size, number of blocks,
upload and location of a shard and, as far as they are known, the CID of the
index that covers it and its piece CID.

` + uploadOrSpaceHelp + `

With --json it prints one object whose list "shards" has the same fields.`

func (a *app) shardLsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls [UPLOAD|SPACE]", Short: "List shards", Long: shardLsHelp, Args: usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions, RunE: a.repositoryCommand(a.listShards),
	}
}

type shardView struct {
	CID      string `json:"cid,omitempty"`
	Kind     string `json:"kind"`
	State    string `json:"state"`
	Size     int64  `json:"size"`
	Blocks   int64  `json:"blocks"`
	Upload   int64  `json:"upload"`
	Ordinal  int64  `json:"ordinal"`
	Location string `json:"location,omitempty"`
	Index    string `json:"index,omitempty"`
	PieceCID string `json:"piece_cid,omitempty"`
}

func (v shardView) text(w io.Writer) {
	name := v.CID
	if name == "" {
		name = fmt.Sprintf("(%d)", v.Ordinal)
	}

	fmt.Fprintf(w, "%s  %s  %s  %s  %s  upload %d", name, v.Kind, v.State, progress.Bytes(v.Size),
		plural(v.Blocks, "block"), v.Upload)

	for _, column := range []struct{ name, value string }{
		{"", printable(v.Location)}, {"index ", v.Index}, {"piece ", v.PieceCID},
	} {
		if column.value != "" {
			fmt.Fprintf(w, "  %s%s", column.name, column.value)
		}
	}

	fmt.Fprintln(w)
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

	return listEach(a, "shards", func(yield func(shardView) error) error {
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
	// Consecutive shards mostly have the same index, so only the latest index is remembered.
	covering := map[int64]string{}

	for row, err := range repo.Shards(ctx, upload.ID, sqlrepo.ShardFilter{}) {
		if err != nil {
			return err
		}

		if _, known := covering[row.Index]; !known && row.Index != 0 {
			index, err := repo.Index(ctx, row.Index)
			if err != nil && !errors.Is(err, sqlrepo.ErrNotFound) {
				return err
			}
			clear(covering)
			covering[row.Index] = indexCID(index)
		}

		view := shardView{Kind: row.Kind.String(), State: row.State.String(), Size: row.Size, Blocks: row.Nodes,
			Upload: row.Upload, Ordinal: row.Ordinal, Index: covering[row.Index]}

		if len(row.Digest) == len(sqlrepo.Digest{}) {
			view.CID = car.ShardCID([32]byte(row.Digest)).String()
			view.Location = store.BlobURL(storeURL, shard.Name([32]byte(row.Digest)))
		}
		if view.PieceCID, err = pieceCID(row); err != nil {
			return err
		}

		if err := yield(view); err != nil {
			return err
		}
	}
	return nil
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
