package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

const shardRmHelp = `Rm removes the files of shards that no upload needs, such as shards whose source
files changed before they were linked. A shard that an upload needs is refused,
and the error names the upload: guppy upload rm removes an upload and everything
that no other upload needs. Use guppy check --repair instead for a shard whose
file is damaged: it sets the file aside, and lost content is packed again.

Rm asks on a terminal; elsewhere it needs --yes. It fails while anybody else is
at work. It determines what all uploads of the space need, which takes as long
as guppy gc. The row of a shard stays, empty. Other shards that the same index
covered are indexed again. Files are removed from replicas, too, if those are
there.`

func (a *app) shardRmCommand() *cobra.Command {
	yes := false
	command := &cobra.Command{
		Use: "rm CID...", Short: "Remove shards that no upload needs", Long: shardRmHelp,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		var digests []sqlrepo.Digest
		for _, arg := range args {
			digest, err := parseBlob(arg)
			if err != nil {
				return err
			}
			digests = append(digests, digest)
		}

		return a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) (err error) {
			// While nobody is at work, no upload can come to need the shards.
			ctx, lock, err := check.Lock(ctx, repo.Repository)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()

			stores, err := a.stores(ctx, cfg, repo)
			if err != nil {
				return err
			}

			removal := shardRemoval{a.collector(cfg, repo, stores), digests, yes, func(left []sqlrepo.Shard) {
				a.resume.by(shardRmLines(command, left)...)
			}}
			return a.removeShards(ctx, removal)
		})(cmd, args)
	}

	command.Flags().SortFlags = false
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addStorePathFlags(command.Flags())
	return command
}

// shardRemoval is what shard rm is to do.
type shardRemoval struct {
	*gc.Collector
	digests []sqlrepo.Digest
	yes     bool
	// forgot is called when the row of a shard was emptied, with the shards whose rows are yet to be.
	forgot func(left []sqlrepo.Shard)
}

// shardRmLines returns the command lines that go on after the rows of some shards were emptied. Their files belong to
// no shard any longer, so rm does not know them.
func shardRmLines(command *cobra.Command, left []sqlrepo.Shard) []string {
	strays := siblingWith(command, "gc") + " --strays"
	if !command.Flags().Changed("yes") {
		strays += " --yes"
	}
	if len(left) == 0 {
		return []string{strays}
	}

	var cids []string
	for _, row := range left {
		cids = append(cids, car.ShardCID([32]byte(row.Digest)).String())
	}
	return []string{strays, commandWith(command, cids...)}
}

// removedShards is the output of shard rm.
type removedShards struct {
	Removed []string `json:"shard_cids"` // shards whose files were removed
	Bytes   int64    `json:"bytes"`      // size of these files
	keptFiles
}

func (v removedShards) text(w io.Writer) {
	fmt.Fprintf(w, "removed %s, %s\n", plural(int64(len(v.Removed)), "shard"), progress.Bytes(v.Bytes))
	v.keptText(w)
}

func (a *app) removeShards(ctx context.Context, r shardRemoval) error {
	collector := r.Collector
	stop := a.showProgress(ctx, collector.Progress.State)
	rows, err := unneeded(ctx, collector, r.digests)
	stop()
	if err != nil {
		return err
	}

	view := removedShards{Removed: []string{}}
	for _, row := range rows {
		view.Bytes += row.Size
	}

	question := fmt.Sprintf("This removes %s, %s, for good. Continue?", plural(int64(len(rows)), "shard"),
		progress.Bytes(view.Bytes))
	if err := a.confirm(ctx, r.yes, question); err != nil {
		return err
	}

	stop = a.showProgress(ctx, collector.Progress.State)
	defer stop()
	collector.Progress.Begin("removing shards", "shard")
	collector.Progress.Expect(int64(len(rows)), view.Bytes)

	// The rows go first, so that no row names a file that is gone. None of them is left to keep another one's file.
	failed := error(nil)
	for i, row := range rows {
		if failed = forgetShard(ctx, collector, row); failed != nil {
			rows = rows[:i]
			break
		}
		r.forgot(rows[i+1:])
	}

	// From here on the view counts what was really removed.
	view.Bytes = 0
	for _, row := range rows {
		removed, err := removeShardFile(ctx, collector, row)
		if err != nil {
			failed = errors.Join(failed, err)
			break
		}
		collector.Progress.Add(1, row.Size)
		if removed {
			view.Removed = append(view.Removed, car.ShardCID([32]byte(row.Digest)).String())
			view.Bytes += row.Size
		}
	}

	stop()
	view.keptFiles = newKeptFiles(collector.Others)
	return errors.Join(failed, a.print(view, view.text))
}

// unneeded returns the rows of the shards. It returns an error if an upload needs one of them.
func unneeded(ctx context.Context, collector *gc.Collector,
	digests []sqlrepo.Digest) (rows []sqlrepo.Shard, err error) {
	spaces, seen := map[int64][]sqlrepo.Shard{}, map[sqlrepo.Digest]bool{}

	for _, digest := range digests {
		if seen[digest] {
			continue
		}
		seen[digest] = true

		found, err := collector.Repo.ShardsByDigest(ctx, digest)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("shard %s: %w", car.ShardCID(digest), sqlrepo.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}

		// Several spaces may have a shard with the same bytes.
		for _, row := range found {
			space, err := collector.Repo.SpaceOf(ctx, row.Upload)
			if err != nil {
				return nil, err
			}

			spaces[space] = append(spaces[space], row)
			rows = append(rows, row)
		}
	}

	var refused error
	for space, wanted := range spaces {
		refused = errors.Join(refused, refuseNeeded(ctx, collector, space, wanted))
	}
	return rows, refused
}

// refuseNeeded returns an error for each of the shards that an upload of the space needs.
func refuseNeeded(ctx context.Context, collector *gc.Collector, space int64, shards []sqlrepo.Shard) error {
	uploads, err := collector.Repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space})
	if err != nil {
		return err
	}

	collector.Progress.Begin("finding what uploads need", "block")
	for _, upload := range uploads {
		if upload.Rooted() && upload.State != sqlrepo.Removed {
			collector.Progress.Expect(0, upload.Bytes)
		}
	}

	type needs struct{ uploads, keys []string }
	needed := map[int64]needs{}
	for _, upload := range uploads {
		if upload.State == sqlrepo.Removed {
			// A removed upload needs nothing. Removing its shards is left to gc.
			if slices.ContainsFunc(shards, func(s sqlrepo.Shard) bool { return s.Upload == upload.ID }) {
				return fmt.Errorf("upload %d was removed: guppy gc --yes removes its shards that no other upload needs", upload.ID)
			}
			continue
		}

		keys, err := collector.NeededBy(ctx, space, upload)
		if err != nil {
			return err
		}

		for _, row := range shards {
			if _, ok := keys[row.ID]; ok {
				by := needed[row.ID]
				by.uploads = append(by.uploads, fmt.Sprintf("%d (%s)", upload.ID, upload.State))
				by.keys = append(by.keys, strconv.FormatInt(upload.ID, 10))
				needed[row.ID] = by
			}
		}
	}

	collector.Progress.Settle() // unfinished uploads have less, or more

	var refused error
	for _, row := range shards {
		if by, ok := needed[row.ID]; ok {
			refused = errors.Join(refused,
				fmt.Errorf("shard %s is needed by upload %s: guppy upload rm %s removes what nothing else needs",
					car.ShardCID([32]byte(row.Digest)), strings.Join(by.uploads, ", "), strings.Join(by.keys, " ")))
		}
	}

	return refused
}

// forgetShard forgets the blocks of a shard, if its store is there.
func forgetShard(ctx context.Context, collector *gc.Collector, row sqlrepo.Shard) error {
	upload, err := collector.Repo.Upload(ctx, row.Upload)
	if err != nil {
		return err
	}
	if _, err := collector.Locate(ctx, upload); err != nil {
		return err
	}

	if row.Index != 0 {
		if err := collector.Repo.DropIndexes(ctx, []int64{row.Index}); err != nil {
			return err
		}
	}
	return audit.New(collector.Repo).LoseShard(ctx, row.ID)
}

// removeShardFile removes the file of a shard that was forgotten, also from replicas, unless it is also another
// shard's. It reports whether the shard's own store had the file.
func removeShardFile(ctx context.Context, collector *gc.Collector, row sqlrepo.Shard) (removed bool, err error) {
	upload, err := collector.Repo.Upload(ctx, row.Upload)
	if err != nil {
		return false, err
	}
	files, err := collector.Locate(ctx, upload)
	if err != nil {
		return false, err
	}
	space, err := collector.Repo.SpaceOf(ctx, row.Upload)
	if err != nil {
		return false, err
	}

	bin, err := trash.Find(ctx, collector.Repo, files, space)
	if err != nil {
		return false, err
	}
	bin.Others = collector.Others

	names := []string{shard.Name([32]byte(row.Digest))}
	gone, err := bin.Remove(ctx, names)
	if err != nil {
		return false, err
	}
	replicas, err := collector.Replicas(ctx, upload)
	if err == nil {
		err = index.RemoveCopies(ctx, collector.Repo, replicas, collector.Others, space, names)
	}
	return len(gone) > 0, errors.Join(err, collector.Keep(ctx, space))
}
