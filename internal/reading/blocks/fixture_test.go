package blocks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// world is a repository and a store in memory.
type world struct {
	mu     sync.Mutex
	shards map[int64]*shard
	// finds, tables and opens count the requests to the repository and the store. read records the bytes read.
	finds, tables, opens int
	open                 atomic.Int64
	read                 []span
	failing              error
}

type shard struct {
	kind  sqlrepo.ShardKind
	bytes []byte
	nodes []sqlrepo.Node
	size  int64
	space int64
	gone  bool
	// remade is true if no store keeps the shard, away if its store is out of reach.
	remade, away bool
	// lost is a node whose bytes can't be read. Any read that touches them fails.
	lost *sqlrepo.Node
}

// errLost is an error of no known kind.
var errLost = errors.New("lost")

type span struct {
	shard, offset int64
	length        int
}

func newWorld() *world { return &world{shards: map[int64]*shard{}} }

// add stores a shard of raw blocks and returns their CIDs.
func (w *world) add(id, space int64, kind sqlrepo.ShardKind, contents ...[]byte) (cids []cid.Cid) {
	s := &shard{kind: kind, bytes: []byte(car.Header), space: space}
	for _, content := range contents {
		digest := sha256.Sum256(content)
		s.bytes = car.AppendSectionHeader(s.bytes, cid.Raw, digest, int64(len(content)))

		s.nodes = append(s.nodes, sqlrepo.Node{
			Position: int32(len(s.bytes)), Length: int32(len(content)), Codec: cid.Raw, Digest: digest,
		})
		s.bytes = append(s.bytes, content...)
		cids = append(cids, rawCID(digest))
	}

	s.size = int64(len(s.bytes))
	w.shards[id] = s
	return cids
}

func rawCID(digest [sha256.Size]byte) cid.Cid {
	return cid.NewCidV1(cid.Raw, append([]byte{multihash.SHA2_256, sha256.Size}, digest[:]...))
}

func (w *world) FindBlocks(_ context.Context, space *int64,
	digests []sqlrepo.Digest) (found []sqlrepo.Place, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.finds++
	wanted := map[sqlrepo.Digest]bool{}
	for _, digest := range digests {
		wanted[digest] = true
	}

	for id, s := range w.shards {
		for _, node := range s.nodes {
			if wanted[node.Digest] && (space == nil || *space == s.space) {
				found = append(found, sqlrepo.Place{Shard: id, Node: node})
			}
		}
	}

	slices.SortFunc(found, func(a, b sqlrepo.Place) int { return int(a.Shard - b.Shard) })
	return found, w.failing
}

func (w *world) StoredShard(_ context.Context, id int64) (sqlrepo.Shard, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.shards[id]
	if !ok {
		return sqlrepo.Shard{}, sqlrepo.ErrNotFound
	}

	row := sqlrepo.Shard{ID: id, Kind: s.kind, Size: s.size, Store: "ONE"}
	if s.remade {
		row.Store = store.NoneIdentity
	}
	return row, w.failing
}

func (w *world) Nodes(_ context.Context, id int64) iter.Seq2[sqlrepo.Node, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables++
	nodes := w.shards[id].nodes
	return func(yield func(sqlrepo.Node, error) bool) {
		for _, node := range nodes {
			if !yield(node, nil) {
				return
			}
		}
	}
}

func (w *world) OpenShard(_ context.Context, row sqlrepo.Shard) (store.Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opens++
	if w.shards[row.ID].gone {
		return nil, fs.ErrNotExist
	}
	if w.shards[row.ID].away {
		return nil, blocks.ErrUnreachable
	}
	w.open.Add(1)
	return &reading{w, row.ID}, nil
}

type reading struct {
	world *world
	id    int64
}

func (r *reading) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.world.read = append(r.world.read, span{r.id, off, len(p)})
	if err := ctx.Err(); err != nil {
		return 0, err
	}

	s := r.world.shards[r.id]
	if s.lost != nil {
		from, to := int64(s.lost.Position), int64(s.lost.Position+s.lost.Length)
		if off < to && off+int64(len(p)) > from {
			n := max(0, from-off)
			copy(p[:n], s.bytes[off:])
			return int(n), errLost
		}
	}

	return bytes.NewReader(s.bytes).ReadAt(p, off)
}

func (r *reading) Close() error {
	r.world.open.Add(-1)
	return nil
}

// source returns a source of all spaces. The test closes it in the end, with nothing left open.
func (w *world) source(t *testing.T, options ...blocks.Option) *blocks.Source {
	s := blocks.New(w, w, options...)
	t.Cleanup(func() {
		if err := s.Close(); err != nil || w.open.Load() != 0 {
			t.Errorf("%d shards are open: %v", w.open.Load(), err)
		}
	})
	return s
}

// contents returns blocks of random bytes.
func contents(seed uint64, lengths ...int) (all [][]byte) {
	random := rand.NewChaCha8([32]byte{byte(seed)})
	for _, length := range lengths {
		content := make([]byte, length)
		_, _ = random.Read(content) // it never fails
		all = append(all, content)
	}
	return all
}

func repeated(length, n int) []int { return slices.Repeat([]int{length}, n) }

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
