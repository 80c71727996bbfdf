package shard

import (
	"context"
	"errors"
	"maps"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Holder looks up which blocks are already held within a scope.
type Holder interface {
	Held(ctx context.Context, within sqlrepo.Scope, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
	HeldAt(ctx context.Context, within sqlrepo.Scope, revision int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
}

// mostAgain bounds how often a shard is committed again because the server was not available.
const mostAgain = 5

// Unknown stands for the revision of a space that is not known and has to be queried.
const Unknown = -1

// Seal leaves the blocks that a scope already holds out of a draft, and calls save to record and store the rest. If
// the space changed meanwhile, Seal looks the blocks up again. It writes the rest again if other blocks are held
// then: more, or fewer because shards were removed. The draft is used up.
//
// The argument revision is the last known revision of the space, or Unknown. Seal returns the space's revision
// after sealing, so that the next call need not query it.
//
// All bytes are at the store before save locks the space. Seal calls sent, if not nil, from many goroutines with
// the number of bytes sent.
func Seal(ctx context.Context, repo Holder, within sqlrepo.Scope, revision int64, draft *Draft, sent func(n int64),
	save func(rest *Draft, seal sqlrepo.Seal) error) (after int64, err error) {
	rest := leftover{draft: draft}
	defer func() { err = errors.Join(err, rest.abort(), draft.Abort()) }()

	for again := 0; ; {
		held, err := lookUp(ctx, repo, within, revision, draft.Digests())
		if err != nil {
			return Unknown, err
		}

		if err := errors.Join(rest.leaveOut(ctx, held.Digests), ctx.Err()); err != nil {
			return Unknown, err
		}

		// The slow part comes before save, which keeps other workers waiting.
		if err := rest.rest.Stage(ctx, sent); err != nil {
			return Unknown, err
		}
		if err := rest.rest.commitAhead(ctx); err != nil {
			return Unknown, err
		}

		commit := func(ctx context.Context) (string, error) { return rest.rest.Commit(store.WithoutPatience(ctx)) }
		next := sqlrepo.NextRevision(held.Revision)
		err = save(rest.rest, sqlrepo.Seal{Space: within.Space, Revision: held.Revision, Next: next, Store: commit})

		switch {
		case err == nil:
			return next, nil
		case errors.Is(err, store.ErrUnusable) && store.CommitsAhead(draft.to) && again < mostAgain:
			again++ // waiting for the server now keeps nobody else waiting
		case !errors.Is(err, sqlrepo.ErrSpaceChanged):
			return Unknown, err
		}

		// The revision is out of date, or may be: it has to be queried.
		revision = Unknown
	}
}

// leftover is a draft without some of its blocks. The full draft stays, because other blocks may have to be left
// out later.
type leftover struct {
	draft, rest *Draft
	without     map[sqlrepo.Digest]struct{}
}

// leaveOut makes the rest of the draft without the held blocks, unless it was made without the same blocks before.
func (l *leftover) leaveOut(ctx context.Context, held map[sqlrepo.Digest]struct{}) (err error) {
	if l.rest != nil && maps.Equal(held, l.without) {
		return nil
	}

	if err := l.abort(); err != nil {
		return err
	}

	l.without = held
	l.rest, err = l.draft.Without(ctx, held)
	return err
}

func (l *leftover) abort() error {
	if l.rest == nil || l.rest == l.draft {
		return nil
	}
	return l.rest.Abort()
}

func lookUp(ctx context.Context, repo Holder, within sqlrepo.Scope, revision int64,
	digests []sqlrepo.Digest) (sqlrepo.Holdings, error) {
	if revision == Unknown {
		return repo.Held(ctx, within, digests)
	}
	return repo.HeldAt(ctx, within, revision, digests)
}
