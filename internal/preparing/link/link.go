// Package link builds the DAGs of files and directories in one pass over the entries in canonical order, with a
// stack of open directories.
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

// ErrNoRoot is returned when the source itself could not be prepared. Then there is no root to link entries to.
var ErrNoRoot = errors.New("the source itself was left out")

// Repository is the part of the repository that linking needs.
type Repository interface {
	Linkables(ctx context.Context, upload int64) iter.Seq2[sqlrepo.Linkable, error]
	Digests
	Shards(ctx context.Context, upload int64, filter sqlrepo.ShardFilter) iter.Seq2[sqlrepo.Shard, error]
	NextOrdinal(ctx context.Context, upload int64) (int64, error)
	ResetLinks(ctx context.Context, stage sqlrepo.Stage) error
	shard.Repository
	SaveLinks(ctx context.Context, batch sqlrepo.LinkBatch) error
}

// Linker links one upload.
type Linker struct {
	Repo  Repository
	Store store.Store
	// Owner marks the linker's temporary blobs in the store.
	Owner string
	// Within is the scope in which blocks that are already held are not stored again. Revision is the last known
	// revision of its space, or shard.Unknown.
	Within   sqlrepo.Scope
	Revision int64
	Profile  unixfs.Profile
	// TempDir is where the entries of very large directories are sorted.
	TempDir  string
	Progress *progress.Counters
	// Alive is called for each linked entry.
	Alive func(n int64)
	// Sent, if not nil, is called from many goroutines with the number of bytes sent to the store.
	Sent func(n int64)
}

// Run links all entries of the upload and returns the upload's root and the counts of its entries. It links again
// what an interrupted attempt linked. The shards of that attempt are found to be held, and the following shards are
// the same as without the interruption.
func (l *Linker) Run(ctx context.Context, stage sqlrepo.Stage) (root sqlrepo.CID, counts sqlrepo.Counts, err error) {
	s := saver{linker: l, stage: stage, revision: l.Revision}

	var looking errgroup.Group
	looking.Go(func() (err error) {
		s.ordinal, err = l.Repo.NextOrdinal(ctx, stage.Upload.ID)
		return err
	})

	s.done, err = l.linkedShards(ctx, stage.Upload.ID)
	if err := errors.Join(err, looking.Wait()); err != nil {
		return root, counts, err
	}

	if stage.Upload.Linked > 0 || s.done > 0 {
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

	group.Go(func() error { return s.run(ctx, full) })
	err = group.Wait()

	// Batches that nobody saved may hold drafts.
	for unsaved := range full {
		err = errors.Join(err, unsaved.abort())
	}
	return root, counts, err
}

// linkedShards counts the DAG shards that earlier attempts made.
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

// link builds the DAGs. Their rows are recorded at the same time.
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
