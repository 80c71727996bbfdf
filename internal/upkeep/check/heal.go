package check

import (
	"context"
	"slices"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// heal copies the file of a shard from another store of the repository that has a good one, and sets the damaged file
// aside. It reports whether it has.
func (m *mending) heal(ctx context.Context, row sqlrepo.Shard) (healed bool, err error) {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return false, nil
	}

	own := m.place(row.Store)
	name := shard.Name([32]byte(row.Digest))
	for _, place := range m.Stores {
		if place.Files == nil || place.Store.Identity == row.Store || place.Store.Identity == store.NoneIdentity {
			continue
		}

		found, good, err := m.readGood(ctx, place.Files, row, name)
		if err != nil {
			return false, err
		}
		if !good {
			continue
		}

		// A file under the same name would otherwise be replaced, and its good blocks with it.
		if err := m.makeWay(ctx, row); err != nil {
			return false, err
		}
		err = delivery.Copy(ctx, place.Files, own.Files, leftovers.CopyOwner(), name, [32]byte(row.Digest), func(int64) {})
		if err != nil {
			return false, err
		}
		if err := m.did("shard %d: its file was copied from store %s", row.ID, place.Store.Name); err != nil {
			return false, err
		}
		return true, m.matchRows(ctx, row, found)
	}
	return false, nil
}

// readGood reads a file of another store that a shard may have. It reports whether the file has the shard's digest. A
// store that can't be read has no good file, unless something is to be given up.
func (m *mending) readGood(ctx context.Context, files store.Store, row sqlrepo.Shard, name string) (found contents,
	good bool, err error) {
	found, err = readShard(ctx, files, name, row.Piece != nil, nil)
	switch {
	case ctx.Err() != nil:
		return found, false, context.Cause(ctx)
	case err != nil && m.GiveUp && !isGone(err):
		return found, false, err
	}
	good = err == nil && found.broken == nil && found.digest == [32]byte(row.Digest) && len(found.nodes) > 0
	return found, good, nil
}

// matchRows makes the rows of a shard again from its file if they differ.
func (m *mending) matchRows(ctx context.Context, row sqlrepo.Shard, found contents) error {
	var nodes []sqlrepo.Node
	for node, err := range m.Repo.Nodes(ctx, row.ID) {
		if err != nil && blamesRows(ctx, err) {
			return m.replace(ctx, row, found)
		}
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
	}

	if row.State == sqlrepo.ShardPacked && row.Size == found.size && slices.Equal(nodes, found.nodes) {
		return nil
	}
	return m.replace(ctx, row, found)
}
