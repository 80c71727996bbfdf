package blocks

import (
	"context"
	"slices"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// heldTables bounds the tables that are held.
	heldTables = 24
	// hitsForTable is how many blocks of a shard are looked up, at first, before its table is read:
	// whoever reads so many of one shard will read more.
	hitsForTable = 16
	// mostHits are so many that reading a table hardly adds to looking them up.
	mostHits = 1024
	// countedShards bounds of how many shards hits are counted.
	countedShards = 4096
)

// table has all nodes of a shard.
type table struct {
	shard int64
	nodes []sqlrepo.Node
	// at has the index of each digest in nodes, by the digest's first bytes. Of several that begin alike one is found
	// here.
	at   map[[8]byte]int32
	used int64
	// finds is how many blocks were found in it.
	finds int
}

func (t *table) find(digest sqlrepo.Digest, place *sqlrepo.Place) bool {
	i, ok := t.at[[8]byte(digest[:8])]
	if !ok || t.nodes[i].Digest != digest {
		return false
	}
	*place = sqlrepo.Place{Shard: t.shard, Node: t.nodes[i]}
	return true
}

// tables are those of the shards that were read of late.
type tables struct {
	repo  Repository
	mu    sync.Mutex
	held  []*table
	hits  map[int64]int
	clock int64
	// need is how many hits it takes for a table to be read: more where tables are not worth it.
	need int
	// loading keeps two from reading the same table.
	loading sync.Mutex
}

func newTables(repo Repository) *tables {
	return &tables{repo: repo, hits: map[int64]int{}, need: hitsForTable}
}

// find looks a block up in the tables, that of the latest hit first.
func (t *tables) find(digest sqlrepo.Digest, place *sqlrepo.Place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range t.held {
		if one.find(digest, place) {
			t.clock++
			one.used, one.finds = t.clock, one.finds+1
			t.held[0], t.held[i] = one, t.held[0]
			return true
		}
	}
	return false
}

// hit counts blocks that were found in no table, and reads the tables of shards that have been hit often.
func (t *tables) hit(ctx context.Context, places []sqlrepo.Place) error {
	for _, shard := range t.count(places) {
		if err := t.load(ctx, shard); err != nil {
			return err
		}
	}
	return nil
}

// count returns the shards that were hit often enough now.
func (t *tables) count(places []sqlrepo.Place) (often []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, place := range places {
		t.hits[place.Shard]++
		if t.hits[place.Shard] >= t.need && !slices.Contains(often, place.Shard) {
			often = append(often, place.Shard)
		}
	}
	for _, shard := range often {
		delete(t.hits, shard)
	}
	if len(t.hits) > countedShards {
		clear(t.hits)
	}
	return often[:min(len(often), heldTables)]
}

func (t *tables) load(ctx context.Context, shard int64) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	if t.has(shard) {
		return nil
	}
	one := &table{shard: shard, at: map[[8]byte]int32{}}
	for node, err := range t.repo.Nodes(ctx, shard) {
		if err != nil {
			return err
		}
		one.at[[8]byte(node.Digest[:8])] = int32(len(one.nodes))
		one.nodes = append(one.nodes, node)
	}
	t.add(one)
	return nil
}

func (t *tables) has(shard int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.held {
		if one.shard == shard {
			return true
		}
	}
	return false
}

// add holds a table, in place of the one that was not used for the longest time if there are enough.
func (t *tables) add(one *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock++
	one.used = t.clock
	if len(t.held) < heldTables {
		t.held = append(t.held, one)
		return
	}
	oldest := 0
	for i, other := range t.held {
		if other.used < t.held[oldest].used {
			oldest = i
		}
	}
	// Content that is strewn over many shards would have tables come and go with each few blocks.
	if gone := t.held[oldest]; gone.finds < len(gone.nodes)/8 {
		t.need = min(2*t.need, mostHits)
	} else {
		t.need = max(t.need/2, hitsForTable)
	}
	t.held[oldest] = one
}

// forget drops the table of a shard, if it is held.
func (t *tables) forget(shard int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range t.held {
		if one.shard == shard {
			last := len(t.held) - 1
			t.held[i], t.held[last] = t.held[last], nil
			t.held = t.held[:last]
			break
		}
	}
	delete(t.hits, shard)
}
