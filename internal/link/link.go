// Package link builds the DAGs of files and directories in one pass over the entries in canonical order, with a stack of
// open directories.
package link

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrInconsistent is returned when the rows of an upload contradict each other.
var ErrInconsistent = errors.New("the repository is inconsistent")

// ErrNoRoot is returned when the source itself could not be prepared, so that nothing can be linked under it.
var ErrNoRoot = errors.New("the source itself was left out")

// Repository is what linking needs of the repository.
type Repository interface {
	Linkables(ctx context.Context, upload int64) iter.Seq2[sqlrepo.Linkable, error]
	ShardDigests(ctx context.Context, shard int64) ([]byte, error)
	NextOrdinal(ctx context.Context, upload int64) (int64, error)
	ResetLinks(ctx context.Context, run sqlrepo.Run) error
	SaveLinks(ctx context.Context, run sqlrepo.Run, batch sqlrepo.LinkBatch) error
}

// Linker links one upload.
type Linker struct {
	Repo    Repository
	Store   store.Store
	Owner   string
	Profile unixfs.Profile
	// TempDir is where the entries of very large directories are sorted.
	TempDir  string
	Progress *progress.Counters
}

// Run links all entries of the upload and returns its root and what lies under it. What an interrupted run has linked is
// done again: the same blocks in the same shards.
func (l *Linker) Run(ctx context.Context, run sqlrepo.Run) (root sqlrepo.CID, counts sqlrepo.Counts, err error) {
	if run.Resumed {
		if err := l.Repo.ResetLinks(ctx, run); err != nil {
			return root, counts, err
		}
	}
	ordinal, err := l.Repo.NextOrdinal(ctx, run.Upload.ID)
	if err != nil {
		return root, counts, err
	}
	group, ctx := errgroup.WithContext(ctx)
	full := make(chan sqlrepo.LinkBatch, 1)
	group.Go(func() (err error) {
		defer close(full)
		out := &output{ctx: ctx, linker: l, run: run, ordinal: ordinal, full: full}
		root, counts, err = l.link(ctx, run, out)
		return err
	})
	group.Go(func() error {
		for batch := range full {
			if err := l.Repo.SaveLinks(ctx, run, batch); err != nil {
				return err
			}
		}
		return nil
	})
	err = group.Wait()
	return root, counts, err
}

// link builds the DAGs while their rows are recorded.
func (l *Linker) link(ctx context.Context, run sqlrepo.Run, out *output) (root sqlrepo.CID, counts sqlrepo.Counts, err error) {
	tree := &tree{linker: l, out: out, digests: digestCache{repo: l.Repo}}
	defer tree.discard()
	defer func() { err = errors.Join(err, out.abort()) }()
	for entry, err := range l.Repo.Linkables(ctx, run.Upload.ID) {
		if err != nil {
			return root, counts, err
		}
		if err := tree.add(ctx, entry); err != nil {
			return root, counts, err
		}
		l.Progress.Linked.Add(1)
	}
	link, err := tree.finish()
	if err != nil {
		return root, counts, err
	}
	return sqlrepo.CID{Cid: link.CID}, tree.counts, out.finish()
}
