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
	if b.draft == nil {
		return s.linker.Repo.SaveLinks(ctx, sqlrepo.LinkBatch{Stage: s.stage, Roots: b.roots})
	}

	s.seen++
	var links *sqlrepo.LinkBatch
	revision, err := shard.Seal(ctx, s.linker.Repo, shard.Sealing{
		Within: s.linker.Within, Revision: s.revision, Draft: b.draft, Sent: s.linker.Sent,
		Work: func(rest *shard.Draft) sqlrepo.Sealable {
			links = &sqlrepo.LinkBatch{Stage: s.stage, Roots: b.roots, Shard: s.shard(rest, b.draft.Size())}
			return links
		},
	})
	s.revision = revision
	if err != nil {
		return err
	}

	if links.Shard != nil {
		s.ordinal++
	}
	return nil
}

// shard returns the next shard, which has the rest of a draft of some size. It returns nil for a shard that an earlier
// attempt has stored: all of its blocks are held by now.
func (s *saver) shard(rest *shard.Draft, size int64) *sqlrepo.PackedShard {
	if rest.Empty() && s.seen <= s.done {
		return nil
	}

	packed := &sqlrepo.PackedShard{Nodes: rest.Nodes()}
	packed.Shard.Ordinal, packed.Shard.PlannedSize = s.ordinal, size
	rest.Describe(&packed.Shard)
	return packed
}
