package link

import (
	"context"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// saver records the linked entries and seals their shards.
type saver struct {
	linker *Linker
	stage  sqlrepo.Stage
	// ordinal is the ordinal of the next shard.
	ordinal int64
	// revision is the revision of the space, or shard.Unknown.
	revision int64
	// done counts the shards that earlier attempts made. seen counts the shards of this attempt.
	done, seen int
}

// run records one batch after the other until the first failure. The failure ends the sender's context.
func (s *saver) run(ctx context.Context, full <-chan batch) error {
	for b := range full {
		if err := s.save(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// save records a batch. If the batch has a draft, save seals it.
func (s *saver) save(ctx context.Context, b batch) error {
	links := sqlrepo.LinkBatch{Roots: b.roots}
	if b.draft == nil {
		return s.linker.Repo.SaveLinks(ctx, s.stage, links, sqlrepo.Seal{})
	}

	s.seen++
	save := func(rest *shard.Draft, seal sqlrepo.Seal) error {
		// An earlier attempt stored this shard: all its blocks are held by now.
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
