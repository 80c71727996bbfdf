package blocks

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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
	at map[[8]byte]int32
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
	repo Repository
	mu   sync.Mutex
	held *simplelru.LRU[int64, *table]
	hits map[int64]int
	// need is how many hits it takes for a table to be read: more where tables are not worth it.
	need int
	// loading keeps two from reading the same table.
	loading sync.Mutex
}

func newTables(repo Repository) *tables {
	held, _ := simplelru.NewLRU[int64, *table](heldTables, nil) // only a size below 1 is an error
	return &tables{repo: repo, held: held, hits: map[int64]int{}, need: hitsForTable}
}

// find looks a block up in the tables, in the one with the latest hit first.
func (t *tables) find(digest sqlrepo.Digest, place *sqlrepo.Place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range slices.Backward(t.held.Values()) {
		if one.find(digest, place) {
			one.finds++
			t.held.Get(one.shard) // which makes it the latest
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
	return t.held.Contains(shard)
}

// add holds a table, in place of the one that was not used for the longest time if there are enough.
func (t *tables) add(one *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held.Len() == heldTables {
		_, gone, _ := t.held.RemoveOldest()
		t.judge(gone)
	}
	t.held.Add(one.shard, one)
}

// judge changes how many hits it takes for a table by what the one that is dropped was worth: content that is strewn
// over many shards would make tables come and go with every few blocks.
func (t *tables) judge(gone *table) {
	if gone.finds < len(gone.nodes)/8 {
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
