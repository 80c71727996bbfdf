package shard

import (
	"context"
	"errors"
	"maps"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Holder tells which blocks are held where it counts.
type Holder interface {
	Held(ctx context.Context, within sqlrepo.Scope, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
	HeldAt(ctx context.Context, within sqlrepo.Scope, revision int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
}

// mostAgain bounds how often a shard is committed again to a server that was away just then.
const mostAgain = 5

// Unknown is the revision of a space that has to be asked for.
const Unknown = -1

// Seal leaves out of a draft what is held already within a scope, and has save record the rest together with its store.
// When the space has changed meanwhile, it looks again, and writes the rest again if other blocks are held: more, or
// fewer when shards were removed. The draft is used up. It takes the revision of the space, as far as that is known,
// and returns the one that it has then, which spares asking for it. All bytes are on the store's side before save holds
// the space: it calls sent, if that is not nil, from many goroutines while they are on their way.
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
			again++ // the server is waited for while nobody is held up
		case !errors.Is(err, sqlrepo.ErrSpaceChanged):
			return Unknown, err
		}
		revision = Unknown
	}
}

// leftover is what is left of a draft without some blocks. The draft stays as long as it may have to be made again.
type leftover struct {
	draft, rest *Draft
	without     map[sqlrepo.Digest]struct{}
}

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
