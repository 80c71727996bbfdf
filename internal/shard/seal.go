package shard

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Holder tells which blocks a space holds.
type Holder interface {
	Held(ctx context.Context, space int64, digests []sqlrepo.Digest) (sqlrepo.Holdings, error)
}

// Seal leaves out of a draft what the space holds already, and has save record the rest together with its store. When
// another shard of the space was sealed meanwhile, it looks again, and writes the shard again only if more of it is held.
// The draft is used up.
func Seal(ctx context.Context, repo Holder, space int64, draft *Draft,
	save func(rest *Draft, seal sqlrepo.Seal) error) (err error) {
	defer func() { err = errors.Join(err, draft.Abort()) }()
	for {
		held, err := repo.Held(ctx, space, draft.Digests())
		if err != nil {
			return err
		}
		rest, err := draft.Without(ctx, held.Digests)
		if err != nil {
			return err
		}
		if rest != draft {
			if err := errors.Join(draft.Abort(), ctx.Err()); err != nil {
				return errors.Join(err, rest.Abort())
			}
			draft = rest
		}
		err = save(draft, sqlrepo.Seal{Space: space, Revision: held.Revision, Store: draft.Commit})
		if !errors.Is(err, sqlrepo.ErrSpaceChanged) {
			return err
		}
	}
}
