// Package link builds the DAGs of files and directories in one pass over the entries in canonical order, with a stack
// of open directories.
package link

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrInconsistent is returned when the rows of an upload contradict each other.
var ErrInconsistent = errors.New("the repository is inconsistent")

// ErrNoRoot is returned when the source itself could not be prepared, so that nothing can be linked under it.
var ErrNoRoot = errors.New("the source itself was left out")

// Repository is what linking needs of the repository.
type Repository interface {
	Linkables(ctx context.Context, upload int64) iter.Seq2[sqlrepo.Linkable, error]
	Digests
	Shards(ctx context.Context, upload int64, filter sqlrepo.ShardFilter) iter.Seq2[sqlrepo.Shard, error]
	NextOrdinal(ctx context.Context, upload int64) (int64, error)
	ResetLinks(ctx context.Context, stage sqlrepo.Stage) error
	shard.Holder
	SaveLinks(ctx context.Context, stage sqlrepo.Stage, batch sqlrepo.LinkBatch, seal sqlrepo.Seal) error
}

// Linker links one upload.
type Linker struct {
	Repo  Repository
	Store store.Store
	// Owner marks the temporary blobs in the store.
	Owner string
	// Within is where a block that is held is not stored again, Revision what is known of its space's revision, or
	// shard.Unknown.
	Within   sqlrepo.Scope
	Revision int64
	Profile  unixfs.Profile
	// TempDir is where the entries of very large directories are sorted.
	TempDir  string
	Progress *progress.Counters
	// Alive is called for each entry that was linked.
	Alive func(n int64)
	// Sent, if any, is called from many goroutines with the bytes that went to the store.
	Sent func(n int64)
}

// Run links all entries of the upload and returns its root and what lies under it. What an interrupted attempt has
// linked is done again: its shards are found to be there, and those that follow are the same as without the
// interruption.
func (l *Linker) Run(ctx context.Context, stage sqlrepo.Stage) (root sqlrepo.CID, counts sqlrepo.Counts, err error) {
	saver := saver{linker: l, stage: stage, revision: l.Revision}
	var looking errgroup.Group
	looking.Go(func() (err error) {
		saver.ordinal, err = l.Repo.NextOrdinal(ctx, stage.Upload.ID)
		return err
	})
	saver.done, err = l.linkedShards(ctx, stage.Upload.ID)
	if err := errors.Join(err, looking.Wait()); err != nil {
		return root, counts, err
	}
	if stage.Upload.Linked > 0 || saver.done > 0 {
		if err := l.Repo.ResetLinks(ctx, stage); err != nil {
			return root, counts, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	full := make(chan batch, 1)
	group.Go(func() (err error) {
		defer close(full)
		upload := stage.Upload
		out := &output{ctx: ctx, linker: l, shardSize: upload.ShardSize, maxBlocks: upload.MaxBlocks(),
			pieceCID: upload.PieceCID, full: full}
		root, counts, err = l.link(ctx, stage, out)
		return err
	})
	group.Go(func() error { return saver.run(ctx, full) })
	err = group.Wait()
	for unsaved := range full {
		err = errors.Join(err, unsaved.abort())
	}
	return root, counts, err
}

// linkedShards counts the shards that earlier attempts have made.
func (l *Linker) linkedShards(ctx context.Context, upload int64) (n int, err error) {
	kind := sqlrepo.DAGShard
	for _, err := range l.Repo.Shards(ctx, upload, sqlrepo.ShardFilter{Kind: &kind}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// link builds the DAGs while their rows are recorded.
func (l *Linker) link(ctx context.Context, stage sqlrepo.Stage,
	out *output) (root sqlrepo.CID, counts sqlrepo.Counts, err error) {
	builder := NewBuilder(l.Profile, l.TempDir, l.Repo, out)
	defer builder.Discard()
	defer func() { err = errors.Join(err, out.abort()) }()
	for entry, err := range l.Repo.Linkables(ctx, stage.Upload.ID) {
		if err != nil {
			return root, counts, err
		}
		if err := builder.Add(ctx, entry); err != nil {
			return root, counts, err
		}
		l.Progress.Linked.Add(1)
		l.Alive(1)
	}
	link, counts, err := builder.Finish()
	if err != nil {
		return root, counts, err
	}
	return sqlrepo.CID{Cid: link.CID}, counts, out.finish()
}
