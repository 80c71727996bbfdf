package sqlrepo

import (
	"context"
	"fmt"
	"maps"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Place is where a block lies: a shard, and the position of the block's bytes in it, behind their length and CID.
type Place struct {
	Shard int64
	Node
}

// placesIn returns where the given blocks lie in the shards that a condition matches. Of the nodes it reads the digests
// and these columns.
//
// Nodes and shards are joined here, not by the engine: PostgreSQL takes a small table of shards for a reason to read
// all of that table for each node. A caller for whom the answer has to stay true compares the revision of the space.
func (r *Repository) placesIn(ctx context.Context, shards sq.Sqlizer, digests []Digest,
	columns ...string) (places []Place, err error) {
	wanted, prefixes := make(map[Digest]struct{}, len(digests)), make([]int64, len(digests))
	for i := range digests {
		wanted[digests[i]] = struct{}{}
		prefixes[i], _ = schema.SplitDigest(digests[i][:])
	}

	// In their order, prefixes read each page of the index once, and the pages above it are at hand.
	slices.Sort(prefixes)

	var rows []struct {
		Shard int64 `db:"shard"`
		nodeRow
	}
	fields := sq.Select("nodes.shard", "nodes.prefix", "nodes.suffix").Columns(columns...)
	if err := r.db.Reader.List(ctx, &rows, r.db.Probe(fields, "nodes", "prefix", prefixes)); err != nil {
		return nil, err
	}

	in := map[int64]bool{}
	for _, row := range rows {
		node, err := row.node()
		if err != nil {
			return nil, fmt.Errorf("shard %d, block at %d: %w", row.Shard, row.Position, err)
		}

		// The query compares only the first 64 bits of digests.
		if _, ok := wanted[node.Digest]; ok {
			places = append(places, Place{Shard: row.Shard, Node: node})
			in[row.Shard] = false
		}
	}

	if err := r.choose(ctx, shards, in); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(places, func(place Place) bool { return !in[place.Shard] }), nil
}

// choose sets the values of the keys of those shards that a condition matches. It probes key by key: PostgreSQL expects
// few shards in a space, and would read all of them.
func (r *Repository) choose(ctx context.Context, shards sq.Sqlizer, among map[int64]bool) error {
	matching := sq.Select("shards.id").Where(shards)
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(among)), core.KeysAtOnce) {
		var chosen []int64
		if err := r.db.Reader.List(ctx, &chosen, r.db.Probe(matching, "shards", "id", keys)); err != nil {
			return err
		}
		for _, shard := range chosen {
			among[shard] = true
		}
	}
	return nil
}
