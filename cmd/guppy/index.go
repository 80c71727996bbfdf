package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) indexCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "index", Short: "List and read the indexes of shards", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(a.indexLsCommand(), a.indexCatCommand())
	return command
}

const indexLsHelp = `Ls lists the indexes of an upload, of all uploads of a space, or of all uploads.
An index records where each block of some shards lies, and is in the store
beside them.

` + uploadOrSpaceHelp

func (a *app) indexLsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "ls [UPLOAD|SPACE]", Short: "List indexes", Long: indexLsHelp, Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: a.readingCommand(a.listIndexes),
	}
	a.addListFlags(command)
	return command
}

// storedIndexView is an index over the blocks of shards.
type storedIndexView struct {
	CID      string `json:"cid,omitempty"`      // CID of the index, once it is built
	Layout   string `json:"layout"`             // how its records are grouped
	State    string `json:"state"`              // planned or stored
	Bytes    int64  `json:"bytes"`              // size of the index
	Shards   int64  `json:"shard_count"`        // number of shards that it covers
	Slices   int64  `json:"slice_count"`        // number of its records
	Upload   int64  `json:"upload"`             // number of its upload
	RootCID  string `json:"root_cid,omitempty"` // root of the content that it is about, once it is known
	Location string `json:"location,omitempty"` // where its file is, once it is built
}

// indexList lists indexes.
func indexList(empty string) list[storedIndexView] {
	return list[storedIndexView]{name: "indexes", empty: empty, columns: []column[storedIndexView]{
		{"INDEX", func(v storedIndexView) string { return v.CID }, identifier},
		{"LAYOUT", func(v storedIndexView) string { return v.Layout }, whole},
		{"STATE", func(v storedIndexView) string { return v.State }, whole},
		{"SIZE", func(v storedIndexView) string { return progress.Bytes(v.Bytes) }, number},
		{"SHARDS", func(v storedIndexView) string { return fmt.Sprint(v.Shards) }, number},
		{"SLICES", func(v storedIndexView) string { return fmt.Sprint(v.Slices) }, number},
		{"UPLOAD", func(v storedIndexView) string { return fmt.Sprint(v.Upload) }, number},
		{"ROOT", func(v storedIndexView) string { return v.RootCID }, identifier},
		{"LOCATION", func(v storedIndexView) string { return printable(v.Location) }, words},
	}}
}

func (a *app) listIndexes(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
	uploads, err := uploadsOf(ctx, repo, args)
	if err != nil {
		return err
	}

	urls, err := storeURLs(ctx, repo)
	if err != nil {
		return err
	}

	return indexList(noneOf("indexes", args)).stream(a, func(yield func(storedIndexView) error) error {
		for _, upload := range uploads {
			for row, err := range repo.Indexes(ctx, sqlrepo.IndexFilter{Upload: &upload.ID}) {
				if err != nil {
					return err
				}

				err := yield(storedIndexView{indexCID(row), row.Layout, row.State.String(), row.Size, row.Shards, row.Slices,
					row.Upload,
					row.Root.String(), indexURL(urls[upload.Store], row)})
				if err != nil {
					return err
				}
			}
		}

		return nil
	})
}

// indexURL returns where an index is, in a store at a URL.
func indexURL(storeURL string, row sqlrepo.Index) string {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return ""
	}
	return store.BlobURL(storeURL, blobindex.Name([32]byte(row.Digest)))
}

const indexCatHelp = `Cat writes the bytes of an index or, with --json, its content. The index is
built from the rows of the repository and compared with the CID, so its bytes
are those in the store.`

func (a *app) indexCatCommand() *cobra.Command {
	out := output{}
	command := &cobra.Command{
		Use: "cat CID", Short: "Write an index", Long: indexCatHelp, Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		digest, err := parseBlob(args[0])
		if err != nil {
			return err
		}

		// JSON is fit for a terminal.
		if err := a.refuseTerminal(out, "an index"); err != nil && !a.json {
			return err
		}

		return a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			if err := out.refuseOwn(cfg, repo); err != nil {
				return err
			}
			write := func(w io.Writer) error { return a.catIndex(ctx, repo, digest, w) }
			// With --json, the content is the result.
			if a.json {
				return a.writeTo(out, write)
			}
			return a.writeBlob(out, blobindex.CID(digest).String(), write)
		})(cmd, args)
	}

	command.Flags().SortFlags = false
	out.addFlags(command.Flags(), "write to `FILE` (default: standard output)")

	return command
}

func (a *app) catIndex(ctx context.Context, repo *repository, digest sqlrepo.Digest, to io.Writer) error {
	row, err := repo.IndexByDigest(ctx, digest)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		err = fmt.Errorf("index %s: %w", blobindex.CID(digest), err)
	}
	if err != nil {
		return err
	}

	covered, err := repo.Covered(ctx, row.ID)
	if err != nil {
		return err
	}

	if a.json {
		content, err := index.Content(ctx, repo, row, covered)
		if err != nil {
			return err
		}
		content.Sort()
		return writeJSON(to, newIndexContent(row, content))
	}

	encoded, err := index.Verified(ctx, repo, row, covered)
	if err != nil {
		return err
	}

	_, err = to.Write(encoded)
	return err
}

// indexContent is the content of an index.
type indexContent struct {
	Layout  string              `json:"layout"`             // how the records are grouped
	RootCID string              `json:"root_cid,omitempty"` // root of the content that it is about
	Shards  []indexShardContent `json:"covered_shards"`     // shards whose blocks it records
}

// indexShardContent is what an index records of a shard.
type indexShardContent struct {
	CID       string         `json:"cid"`       // CID of the shard
	Multihash string         `json:"multihash"` // digest of the shard as a multihash, in hexadecimal
	Slices    []sliceContent `json:"slices"`    // where its blocks lie
}

// sliceContent is where a block lies in a shard.
type sliceContent struct {
	Multihash string `json:"multihash"` // digest of the block as a multihash, in hexadecimal
	Offset    int64  `json:"offset"`    // where the block begins in the shard
	Length    int64  `json:"bytes"`     // length of the block
}

func newIndexContent(row sqlrepo.Index, source blobindex.Index) indexContent {
	view := indexContent{Layout: row.Layout, RootCID: cidText(source.Content), Shards: []indexShardContent{}}
	for _, shard := range source.Shards {
		covered := indexShardContent{car.ShardCID(shard.Digest).String(), multihashText(shard.Digest), []sliceContent{}}
		for _, slice := range shard.Slices {
			covered.Slices = append(covered.Slices, sliceContent{multihashText(slice.Digest), slice.Offset, slice.Length})
		}
		view.Shards = append(view.Shards, covered)
	}
	return view
}

func cidText(c cid.Cid) string {
	if !c.Defined() {
		return ""
	}
	return c.String()
}

// multihashText returns a digest as a multihash in hexadecimal.
func multihashText(digest [32]byte) string {
	return multihash.Multihash(append([]byte{multihash.SHA2_256, byte(len(digest))}, digest[:]...)).HexString()
}
