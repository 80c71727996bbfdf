package shard

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Holder tells which blocks a space holds.
type Holder interface {
	Held(ctx context.Context, space int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
	HeldAt(ctx context.Context, space, revision int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
}

// Unknown is the revision of a space that has to be asked for.
const Unknown = -1

// Seal leaves out of a draft what the space holds already, and has save record the rest together with its store. When
// another shard of the space was sealed meanwhile, it looks again, and writes the shard again only if more of it is held.
// The draft is used up. It takes the revision of the space, as far as that is known, and returns the one that it has then,
// which spares asking for it.
func Seal(ctx context.Context, repo Holder, space, revision int64, draft *Draft,
	save func(rest *Draft, seal sqlrepo.Seal) error) (after int64, err error) {
	defer func() { err = errors.Join(err, draft.Abort()) }()
	for {
		held, err := lookUp(ctx, repo, space, revision, draft.Digests())
		if err != nil {
			return Unknown, err
		}
		rest, err := draft.Without(ctx, held.Digests)
		if err != nil {
			return Unknown, err
		}
		if rest != draft {
			if err := errors.Join(draft.Abort(), ctx.Err()); err != nil {
				return Unknown, errors.Join(err, rest.Abort())
			}
			draft = rest
		}
		err = save(draft, sqlrepo.Seal{Space: space, Revision: held.Revision, Store: draft.Commit})
		switch {
		case err == nil:
			return held.Revision + 1, nil
		case !errors.Is(err, sqlrepo.ErrSpaceChanged):
			return Unknown, err
		}
		revision = Unknown
	}
}

func lookUp(ctx context.Context, repo Holder, space, revision int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error) {
	if revision == Unknown {
		return repo.Held(ctx, space, digests)
	}
	return repo.HeldAt(ctx, space, revision, digests)
}
