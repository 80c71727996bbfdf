package blocks

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// heldTables limits the number of tables in memory.
	heldTables = 24
	// hitsForTable is the number of blocks of a shard that are looked up, at first, before its table is read. A
	// caller that reads so many blocks of one shard will read more.
	hitsForTable = 16
	// mostHits is so many that reading a table hardly adds to looking them up.
	mostHits = 1024
	// countedShards limits the number of shards whose hits are counted.
	countedShards = 4096
)

// table holds all nodes of a shard.
type table struct {
	shard int64
	nodes []sqlrepo.Node
	// at maps the first bytes of a digest to its index in nodes. Of several digests that begin alike it has only
	// one.
	at map[[8]byte]int32
	// finds counts the blocks that were found in the table.
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

// tables holds the tables of recently read shards.
type tables struct {
	repo Repository
	mu   sync.Mutex
	held *simplelru.LRU[int64, *table]
	hits map[int64]int
	// need is the number of hits before a table is read. It grows where tables are not worth their cost.
	need int
	// loading keeps two callers from reading the same table.
	loading sync.Mutex
}

func newTables(repo Repository) *tables {
	held, _ := simplelru.NewLRU[int64, *table](heldTables, nil) // only a size below 1 is an error
	return &tables{repo: repo, held: held, hits: map[int64]int{}, need: hitsForTable}
}

// find looks up a block in the tables, beginning with the table of the latest hit.
func (t *tables) find(digest sqlrepo.Digest, place *sqlrepo.Place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, held := range slices.Backward(t.held.Values()) {
		if held.find(digest, place) {
			held.finds++
			t.held.Get(held.shard) // which makes it the latest
			return true
		}
	}
	return false
}

// hit counts blocks that were found in no table. It reads the tables of shards that have been hit often.
func (t *tables) hit(ctx context.Context, places []sqlrepo.Place) error {
	for _, shard := range t.count(places) {
		if err := t.load(ctx, shard); err != nil {
			return err
		}
	}
	return nil
}

// count returns the shards that have now been hit often enough.
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

	// Without the counts, tables are only read a little later.
	if len(t.hits) > countedShards {
		clear(t.hits)
	}
	return often[:min(len(often), heldTables)]
}

func (t *tables) load(ctx context.Context, shard int64) error {
	t.loading.Lock()
	defer t.loading.Unlock()

	// Another caller may have read the table while this one waited.
	if t.has(shard) {
		return nil
	}

	added := &table{shard: shard, at: map[[8]byte]int32{}}
	for node, err := range t.repo.Nodes(ctx, shard) {
		if err != nil {
			return err
		}
		added.at[[8]byte(node.Digest[:8])] = int32(len(added.nodes))
		added.nodes = append(added.nodes, node)
	}

	t.add(added)
	return nil
}

func (t *tables) has(shard int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held.Contains(shard)
}

// add holds a table. If there are enough, it replaces the table that was not used for the longest time.
func (t *tables) add(added *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held.Len() == heldTables {
		_, evicted, _ := t.held.RemoveOldest()
		t.judge(evicted)
	}
	t.held.Add(added.shard, added)
}

// judge adapts the number of hits that a table needs to what a dropped table was worth. Content that is scattered over
// many shards would load and drop tables every few blocks.
func (t *tables) judge(evicted *table) {
	if evicted.finds < len(evicted.nodes)/8 {
		t.need = min(2*t.need, mostHits)
	} else {
		t.need = max(t.need/2, hitsForTable)
	}
}

// forget drops the table of a shard, if it is held.
func (t *tables) forget(shard int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held.Remove(shard)
	delete(t.hits, shard)
}
