package link

import (
	"context"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// saver records what was linked, and seals its shards.
type saver struct {
	linker *Linker
	stage  sqlrepo.Stage
	// ordinal is that of the next shard.
	ordinal int64
	// revision is that of the space as far as it is known.
	revision int64
	// done is how many shards earlier attempts have made, seen how many have come up in this one.
	done, seen int
}

// run records batch after batch. It throws away what comes after a failure, which ends the sender's context.
func (s *saver) run(ctx context.Context, full <-chan batch) error {
	for b := range full {
		if err := s.save(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) save(ctx context.Context, b batch) error {
	links := sqlrepo.LinkBatch{Roots: b.roots}
	if b.draft == nil {
		return s.linker.Repo.SaveLinks(ctx, s.stage, links, sqlrepo.Seal{})
	}
	s.seen++
	save := func(rest *shard.Draft, seal sqlrepo.Seal) error {
		// What an earlier attempt has stored is held by now, all of it.
		if rest.Empty() && s.seen <= s.done {
			return s.linker.Repo.SaveLinks(ctx, s.stage, links, sqlrepo.Seal{})
		}
		packed := sqlrepo.PackedShard{Nodes: rest.Nodes()}
		packed.Shard.Ordinal, packed.Shard.PlannedSize = s.ordinal, b.draft.Size()
		rest.Describe(&packed.Shard)
		links.Shard = &packed
		if err := s.linker.Repo.SaveLinks(ctx, s.stage, links, seal); err != nil {
			return err
		}
		s.ordinal++
		return nil
	}
	revision, err := shard.Seal(ctx, s.linker.Repo, s.linker.Within, s.revision, b.draft, s.linker.Sent, save)
	s.revision = revision
	return err
}
