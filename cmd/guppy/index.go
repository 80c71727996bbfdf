package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
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
beside them. A line shows the CID, layout, state, size, number of covered
shards, number of slices, upload, root and location of an index.

` + uploadOrSpaceHelp + `

With --json it prints one object whose list "indexes" has the same fields.`

func (a *app) indexLsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls [UPLOAD|SPACE]", Short: "List indexes", Long: indexLsHelp, Args: usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions, RunE: a.repositoryCommand(a.listIndexes),
	}
}

type storedIndexView struct {
	CID      string `json:"cid"`
	Layout   string `json:"layout"`
	State    string `json:"state"`
	Size     int64  `json:"size"`
	Shards   int64  `json:"shards"`
	Slices   int64  `json:"slices"`
	Upload   int64  `json:"upload"`
	RootCID  string `json:"root_cid"`
	Location string `json:"location"`
}

func (v storedIndexView) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  %s  %s  %s, %s  upload %d  root %s  %s\n", v.CID, v.Layout, v.State,
		progress.Bytes(v.Size), plural(v.Shards, "shard"), plural(v.Slices, "slice"), v.Upload, v.RootCID,
		printable(v.Location))
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

	return listEach(a, "indexes", func(yield func(storedIndexView) error) error {
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

const indexCatHelp = `Cat writes the bytes of an index or, with --json, its content: layout, content
(the root CID) and shards, each with its multihash and slices (multihash, offset
and length). The index is built from the rows of the repository and compared
with the CID, so its bytes are those in the store.`

func (a *app) indexCatCommand() *cobra.Command {
	out := ""
	command := &cobra.Command{
		Use: "cat CID", Short: "Write an index", Long: indexCatHelp, Args: usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
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

		return a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, _ []string) error {
			return a.writeTo(out, func(w io.Writer) error { return a.catIndex(ctx, repo, digest, w) })
		})(cmd, args)
	}

	command.Flags().SortFlags = false
	command.Flags().StringVarP(&out, "output", "o", "", "write to `FILE` (default: standard output)")

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
		return json.NewEncoder(to).Encode(newIndexContent(row, content))
	}

	encoded, err := index.Verified(ctx, repo, row, covered)
	if err != nil {
		return err
	}

	_, err = to.Write(encoded)
	return err
}

// indexContent is the content of an index, in a JSON layout of its own.
type indexContent struct {
	Layout  string              `json:"layout"`
	Content string              `json:"content,omitempty"`
	Shards  []indexShardContent `json:"shards"`
}

type indexShardContent struct {
	Multihash string         `json:"multihash"`
	Slices    []sliceContent `json:"slices"`
}

type sliceContent struct {
	Multihash string `json:"multihash"`
	Offset    int64  `json:"offset"`
	Length    int64  `json:"length"`
}

func newIndexContent(row sqlrepo.Index, source blobindex.Index) indexContent {
	view := indexContent{Layout: row.Layout, Content: cidText(source.Content), Shards: []indexShardContent{}}
	for _, shard := range source.Shards {
		covered := indexShardContent{Multihash: multihashText(shard.Digest)}
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
