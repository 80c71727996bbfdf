package shard

import (
	"context"
	"errors"
	"maps"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that sealing needs.
type Repository interface {
	Held(ctx context.Context, within sqlrepo.Scope, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
	HeldAt(ctx context.Context, within sqlrepo.Scope, revision int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
	Seal(ctx context.Context, at sqlrepo.SpaceAt, work sqlrepo.Sealable,
		publish func(ctx context.Context) error) error
}

// Sealing is a draft that is to become part of a space, whose store holds each block once.
type Sealing struct {
	// Within is the scope whose blocks the shard leaves out.
	Within sqlrepo.Scope
	// Revision is the last known revision of the space, or Unknown.
	Revision int64
	// Draft is used up by Seal.
	Draft *Draft
	// Sent, if not nil, is called from many goroutines with the number of bytes sent to the store.
	Sent func(n int64)
	// Work returns what the repository records together with the rest of the draft, which lacks the blocks that are
	// held elsewhere. It is called for each attempt.
	Work func(rest *Draft) sqlrepo.Sealable
}

// Unknown stands for the revision of a space that is not known and has to be queried.
const Unknown = -1

// maxRepublished bounds how often a shard is published again because the server was not available.
const maxRepublished = 5

// Seal makes a draft part of a space. It returns the revision of the space after that, so that the next call need not
// query it. If the space changes meanwhile, Seal begins again: other blocks may be held then, more of them, or fewer
// because shards were removed.
func Seal(ctx context.Context, repo Repository, s Sealing) (revision int64, err error) {
	rest := remainder{full: s.Draft}
	defer func() { err = errors.Join(err, rest.abort(), s.Draft.Abort()) }()

	for republished := 0; ; {
		// Look up which blocks the space holds.
		held, err := s.lookUp(ctx, repo)
		if err != nil {
			return Unknown, err
		}

		// Leave them out.
		if err := errors.Join(rest.leaveOut(ctx, held.Digests), ctx.Err()); err != nil {
			return Unknown, err
		}

		// Stage the rest. This takes long, and keeps nobody else waiting.
		if err := rest.draft.Stage(ctx, s.Sent); err != nil {
			return Unknown, err
		}

		// Publishing may be slow too, and is then done before others are kept waiting.
		if err := rest.draft.publishAhead(ctx); err != nil {
			return Unknown, err
		}

		// Begin a transaction, hold the space, publish, record, commit.
		next := sqlrepo.NextRevision(held.Revision)
		at := sqlrepo.SpaceAt{Space: s.Within.Space, Revision: held.Revision, Next: next}
		err = repo.Seal(ctx, at, s.Work(rest.draft), func(ctx context.Context) error {
			return rest.draft.Publish(store.WithoutPatience(ctx))
		})

		switch {
		case err == nil:
			return next, nil
		case errors.Is(err, store.ErrUnusable) && store.CommitsAhead(s.Draft.to) && republished < maxRepublished:
			republished++ // waiting for the server now keeps nobody else waiting
		case !errors.Is(err, sqlrepo.ErrSpaceChanged):
			return Unknown, err
		}

		// The revision is out of date, or may be: it has to be queried.
		s.Revision = Unknown
	}
}

func (s Sealing) lookUp(ctx context.Context, repo Repository) (sqlrepo.Holdings, error) {
	if s.Revision == Unknown {
		return repo.Held(ctx, s.Within, s.Draft.Digests())
	}
	return repo.HeldAt(ctx, s.Within, s.Revision, s.Draft.Digests())
}

// remainder is a draft without some of its blocks. The full draft stays, because other blocks may have to be left
// out later.
type remainder struct {
	full, draft *Draft
	without     map[sqlrepo.Digest]struct{}
}

// leaveOut makes the remainder without the held blocks, unless it was made without the same blocks before.
func (r *remainder) leaveOut(ctx context.Context, held map[sqlrepo.Digest]struct{}) (err error) {
	if r.draft != nil && maps.Equal(held, r.without) {
		return nil
	}

	if err := r.abort(); err != nil {
		return err
	}

	r.without = held
	r.draft, err = r.full.Without(ctx, held)
	return err
}

func (r *remainder) abort() error {
	if r.draft == nil || r.draft == r.full {
		return nil
	}
	return r.draft.Abort()
}
