package blocks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
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
	// remade is true if no store keeps the shard, elsewhere if another store does.
	remade, elsewhere bool
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
	location := fmt.Sprintf("file:///%d", id)
	if s.remade {
		location = store.NoneLocation
	}
	return sqlrepo.Shard{ID: id, Kind: s.kind, Size: s.size, Location: location}, w.failing
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
	if w.shards[row.ID].elsewhere {
		return nil, blocks.ErrElsewhere
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

func TestBlocksAreFoundAndRead(t *testing.T) {
	for _, kind := range []sqlrepo.ShardKind{sqlrepo.DataShard, sqlrepo.DAGShard} {
		w := newWorld()
		data := contents(1, 0, 1, 1000, 2<<20, 300_000)
		cids := w.add(1, 1, kind, data...)
		s := w.source(t)

		for i, c := range cids {
			if got := must(s.Get(t.Context(), c))(t); !bytes.Equal(got, data[i]) {
				t.Errorf("block %d has %d bytes", i, len(got))
			}
			if size := must(s.Size(t.Context(), c))(t); size != int64(len(data[i])) {
				t.Errorf("block %d has the size %d", i, size)
			}

			v0 := cid.NewCidV0(c.Hash())
			if !must(s.Has(t.Context(), v0))(t) {
				t.Errorf("block %d is not found by its other CID", i)
			}
		}

		i := 0
		err := s.Fetch(t.Context(), append(cids, cids[1]), func(at int, got []byte) error {
			if at != i || !bytes.Equal(got, data[at%5+at/5]) {
				t.Errorf("block %d comes as %d with %d bytes", i, at, len(got))
			}
			i++
			return nil
		})

		if err != nil || i != 6 {
			t.Errorf("%d blocks, %v", i, err)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	w := newWorld()
	known := w.add(1, 1, sqlrepo.DataShard, contents(1, 10)...)[0]
	s, other := w.source(t), w.source(t, blocks.InSpace(2))
	unknown := rawCID([32]byte{1})
	longHash, err := multihash.Sum([]byte("x"), multihash.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []cid.Cid{unknown, cid.NewCidV1(cid.Raw, longHash), {}} {
		if c.Defined() {
			if _, err := s.Get(t.Context(), c); !errors.Is(err, blocks.ErrNotFound) {
				t.Errorf("%s: %v", c, err)
			}
		}

		if must(s.Has(t.Context(), c))(t) {
			t.Errorf("%s is there", c)
		}
	}

	if must(other.Has(t.Context(), known))(t) || !must(w.source(t, blocks.InSpace(1)).Has(t.Context(), known))(t) {
		t.Error("a block is in another space")
	}

	w.failing = sqlrepo.ErrUnavailable
	if _, err := s.Get(t.Context(), known); !errors.Is(err, sqlrepo.ErrUnavailable) || errors.Is(err, blocks.ErrDamaged) {
		t.Errorf("without a database: %v", err)
	}
}

func TestABlockInItsCID(t *testing.T) {
	s := newWorld().source(t)
	hash, err := multihash.Sum([]byte("hello"), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	c := cid.NewCidV1(cid.Raw, hash)
	if got := must(s.Get(t.Context(), c))(t); string(got) != "hello" {
		t.Errorf("%q", got)
	}
	if must(s.Size(t.Context(), c))(t) != 5 {
		t.Error("it has another size")
	}
}

func TestDamage(t *testing.T) {
	for name, damage := range map[string]func(*shard){
		"other bytes": func(s *shard) { s.bytes[s.nodes[1].Position] ^= 1 },
		"cut":         func(s *shard) { s.bytes = s.bytes[:s.nodes[1].Position+3] },
		"empty":       func(s *shard) { s.bytes = nil },
		"gone":        func(s *shard) { s.gone = true },
		"too long":    func(s *shard) { s.nodes[1].Length = 1 << 30 },
		"overflow":    func(s *shard) { s.nodes[1].Length, s.nodes[1].Position = 1<<31-1, 1<<31-1 },
		"elsewhere":   func(s *shard) { s.nodes[1].Position++ },
	} {
		for _, kind := range []sqlrepo.ShardKind{sqlrepo.DataShard, sqlrepo.DAGShard} {
			w := newWorld()
			data := contents(1, 100, 100, 100)
			cids := w.add(1, 1, kind, data...)
			damage(w.shards[1])

			s := w.source(t)
			_, err := s.Get(t.Context(), cids[1])
			var failed *blocks.BlockError
			if !errors.As(err, &failed) || !errors.Is(err, blocks.ErrDamaged) || failed.Shard != 1 || failed.CID != cids[1] {
				t.Errorf("%s: %v", name, err)
			}

			// Another copy of the block helps.
			w.add(2, 1, kind, data...)
			if got := must(s.Get(t.Context(), cids[1]))(t); !bytes.Equal(got, data[1]) {
				t.Errorf("%s: the other copy is not found", name)
			}

			n := 0
			err = s.Fetch(t.Context(), cids, func(i int, got []byte) error {
				if !bytes.Equal(got, data[i]) {
					t.Errorf("%s: block %d is another", name, i)
				}
				n++
				return nil
			})

			if err != nil || n != 3 {
				t.Errorf("%s: %d of 3 blocks: %v", name, n, err)
			}
		}
	}
}

// TestALostNeighbour requires that a lost block costs no other block, wherever it is in the shard.
func TestALostNeighbour(t *testing.T) {
	for _, kind := range []sqlrepo.ShardKind{sqlrepo.DataShard, sqlrepo.DAGShard} {
		for lost := range 3 {
			w := newWorld()
			data := contents(1, 100, 100, 100)
			cids := w.add(1, 1, kind, data...)
			w.shards[1].lost = &w.shards[1].nodes[lost]
			s := w.source(t)

			for i, c := range cids {
				got, err := s.Get(t.Context(), c)
				if i == lost {
					if !errors.Is(err, errLost) {
						t.Errorf("the lost block: %v", err)
					}
				} else if err != nil || !bytes.Equal(got, data[i]) {
					t.Errorf("block %d beside lost block %d: %v", i, lost, err)
				}
			}
		}
	}
}

// TestRemovedShards removes a shard whose table is held, and brings its blocks back in another shard.
func TestRemovedShards(t *testing.T) {
	w := newWorld()
	data := contents(1, repeated(50, 100)...)
	cids := w.add(1, 1, sqlrepo.DataShard, data...)
	s := w.source(t)
	fetch := func() error { return s.Fetch(t.Context(), cids, func(int, []byte) error { return nil }) }
	if err := fetch(); err != nil || w.tables != 1 {
		t.Fatalf("%d tables: %v", w.tables, err)
	}

	finds := w.finds
	if err := fetch(); err != nil || w.finds != finds {
		t.Fatalf("a held table was not used: %v", err)
	}

	w.mu.Lock()
	w.shards[2] = w.shards[1]
	w.shards[1] = &shard{gone: true}
	w.mu.Unlock()

	// As if other shards had displaced the handles.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if err := fetch(); err != nil {
		t.Error(err)
	}

	delete(w.shards, 1)
	delete(w.shards, 2)
	if _, err := s.Get(t.Context(), rawCID([32]byte{1})); !errors.Is(err, blocks.ErrNotFound) {
		t.Error(err)
	}
}

func TestNeighboursAreReadTogether(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DataShard, contents(1, repeated(10_000, 300)...)...)
	s := w.source(t)
	if err := s.Fetch(t.Context(), cids[50:250], func(int, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}

	if len(w.read) > 3 || w.finds != 1 {
		t.Errorf("%d reads, %d look-ups", len(w.read), w.finds)
	}

	first, last := w.shards[1].nodes[50], w.shards[1].nodes[249]
	for _, span := range w.read {
		if span.offset < int64(first.Position) || span.offset+int64(span.length) > int64(last.Position+last.Length) {
			t.Errorf("%+v is outside of what was asked for", span)
		}
	}

	w.read = nil
	must(s.Get(t.Context(), cids[7]))(t)
	if len(w.read) != 1 || w.read[0].length != 10_000 {
		t.Errorf("one block: %+v", w.read)
	}
}

// TestFarNeighbours requires that blocks which nobody asked for are not read.
func TestFarNeighbours(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DataShard, contents(1, 100, 500_000, 100)...)
	s := w.source(t)
	err := s.Fetch(t.Context(), []cid.Cid{cids[0], cids[2], cids[0]}, func(int, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range w.read {
		if span.length != 100 {
			t.Errorf("%+v", span)
		}
	}
}

func TestNodesOfDAGsAreReadInPieces(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DAGShard, contents(1, repeated(200, 5000)...)...)
	s := w.source(t)
	for _, c := range cids {
		must(s.Get(t.Context(), c))(t)
	}
	if len(w.read) > 10 || w.finds > 20 || w.tables != 1 {
		t.Errorf("%d reads, %d look-ups, %d tables", len(w.read), w.finds, w.tables)
	}
}

func TestShardsThatAreOpenAreBounded(t *testing.T) {
	w := newWorld()
	var cids []cid.Cid
	for id := range int64(200) {
		cids = append(cids, w.add(id+1, 1, sqlrepo.DataShard, contents(uint64(id), 64)...)...)
	}

	s := w.source(t)
	for range 2 {
		for _, c := range cids {
			must(s.Get(t.Context(), c))(t)
			if open := w.open.Load(); open > 40 {
				t.Fatalf("%d shards are open", open)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld()
	var cids []cid.Cid
	var data [][]byte
	for id := range int64(50) {
		some := contents(uint64(id), repeated(300, 40)...)
		data, cids = append(data, some...), append(cids, w.add(id+1, 1, sqlrepo.ShardKind(1+id%2), some...)...)
	}

	s := w.source(t)

	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range 200 {
				i := random.IntN(len(cids) - 10)
				err := s.Fetch(t.Context(), cids[i:i+10], func(at int, got []byte) error {
					if !bytes.Equal(got, data[i+at]) {
						return errors.New("another block")
					}
					return nil
				})

				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// TestInterruptedOpening requires that no reader fails because another reader was interrupted.
func TestInterruptedOpening(t *testing.T) {
	w := newWorld()
	c := w.add(1, 1, sqlrepo.DataShard, contents(1, 10)...)[0]
	s := w.source(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ended, c); !errors.Is(err, context.Canceled) || errors.Is(err, blocks.ErrDamaged) {
		t.Errorf("interrupted: %v", err)
	}
	must(s.Get(t.Context(), c))(t)
}

// TestWaitingForAnotherOpening requires that a wait ends with the context of the waiting reader, whatever the
// other reader does.
func TestWaitingForAnotherOpening(t *testing.T) {
	w := newWorld()
	c := w.add(1, 1, sqlrepo.DataShard, contents(1, 10)...)[0]
	slow := slowly{w, make(chan struct{}), make(chan struct{})}
	s := blocks.New(w, slow)

	var opening sync.WaitGroup
	opening.Go(func() {
		if _, err := s.Get(t.Context(), c); err != nil {
			t.Error(err)
		}
	})

	<-slow.begun
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)

	if _, err := s.Get(ctx, c); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}

	close(slow.release)
	opening.Wait()
	if err := s.Close(); err != nil || w.open.Load() != 0 {
		t.Errorf("%d shards are open: %v", w.open.Load(), err)
	}
}

// slowly opens a shard only when it is released.
type slowly struct {
	*world
	begun, release chan struct{}
}

func (s slowly) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	close(s.begun)
	<-s.release
	return s.world.OpenShard(ctx, row)
}

func TestPresent(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DataShard, contents(1, 10, 20, 30)...)
	gone := w.add(2, 1, sqlrepo.DataShard, contents(2, 10)...)[0]
	cut := w.add(3, 1, sqlrepo.DataShard, contents(3, 10)...)[0]

	twice := contents(4, 10)
	again := w.add(4, 1, sqlrepo.DataShard, twice...)[0]
	w.add(5, 1, sqlrepo.DataShard, twice...)

	w.shards[2].gone, w.shards[4].gone, w.shards[5].gone = true, true, false
	w.shards[3].bytes = w.shards[3].bytes[:60]
	s := w.source(t)

	var errs []error
	asked := append(slices.Clone(cids), gone, cut, again, rawCID([32]byte{9}))
	err := s.Present(t.Context(), asked, func(_ int, _ sqlrepo.Place, err error) error {
		errs = append(errs, err)
		return nil
	})

	if err != nil || len(errs) != len(asked) {
		t.Fatal(err)
	}

	for i, want := range []error{nil, nil, nil, blocks.ErrDamaged, blocks.ErrDamaged, nil, blocks.ErrNotFound} {
		if !errors.Is(errs[i], want) {
			t.Errorf("block %d: %v, want %v", i, errs[i], want)
		}
	}

	total := 0
	for _, span := range w.read {
		total += span.length
	}
	if total > 5 {
		t.Errorf("%d bytes were read", total)
	}

	if !errors.Is(errs[4], io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", errs[4])
	}
}

// TestShardsOfAnotherStore requires that shards of another store are not tried again if a shard of this store has
// the block, and do not count as damaged.
func TestShardsOfAnotherStore(t *testing.T) {
	w := newWorld()
	both := contents(1, repeated(40, 10)...)
	w.add(1, 1, sqlrepo.DataShard, both...)
	cids := w.add(2, 1, sqlrepo.DataShard, both...)
	only := w.add(3, 1, sqlrepo.DataShard, contents(2, 10)...)[0]
	w.shards[2].elsewhere, w.shards[3].elsewhere = true, true
	s := w.source(t)

	for _, c := range cids {
		must(s.Get(t.Context(), c))(t)
	}
	if w.opens > 3 {
		t.Errorf("shards were opened %d times", w.opens)
	}

	_, err := s.Get(t.Context(), only)
	var failed *blocks.BlockError
	if !errors.As(err, &failed) || !errors.Is(err, blocks.ErrElsewhere) || errors.Is(err, blocks.ErrDamaged) {
		t.Errorf("a block of another store: %v", err)
	}
}

// TestPresentMakesNothing requires that Present makes no shard that no store keeps.
func TestPresentMakesNothing(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DataShard, contents(1, 10, 20)...)
	w.shards[1].remade = true
	err := w.source(t).Present(t.Context(), cids, func(_ int, place sqlrepo.Place, err error) error {
		if place.Shard != 1 {
			t.Errorf("%+v", place)
		}
		return err
	})
	if err != nil || len(w.read) > 0 {
		t.Errorf("%v, and %v was read", err, w.read)
	}
}

// TestAStoreThatIsAway requires that a store out of reach says nothing about blocks.
func TestAStoreThatIsAway(t *testing.T) {
	w := newWorld()
	cids := w.add(1, 1, sqlrepo.DataShard, contents(1, 10)...)
	s := blocks.New(w, away{})
	_, err := s.Get(t.Context(), cids[0])
	present := s.Present(t.Context(), cids, func(int, sqlrepo.Place, error) error { return nil })

	for _, err := range []error{err, present, s.Close()} {
		if err != nil && (!errors.Is(err, blocks.ErrUnreachable) || errors.Is(err, blocks.ErrDamaged)) {
			t.Error(err)
		}
	}

	if err == nil || present == nil {
		t.Error("a block was had from nowhere")
	}
}

// TestAStoreThatGoesAway requires that a store which goes out of reach says nothing about blocks either, and is
// not asked again for each of them.
func TestAStoreThatGoesAway(t *testing.T) {
	for _, kind := range []sqlrepo.ShardKind{sqlrepo.DataShard, sqlrepo.DAGShard} {
		w := newWorld()
		cids := w.add(1, 1, kind, contents(1, 10, 10)...)
		gone := &goneAway{}
		s := blocks.New(w, gone)
		err := s.Fetch(t.Context(), cids, func(int, []byte) error { return nil })
		if !errors.Is(err, store.ErrUnusable) || errors.Is(err, blocks.ErrDamaged) || gone.asked != 1 {
			t.Errorf("asked %d times: %v", gone.asked, err)
		}
	}
}

// TestWhatTheReaderLacks requires that a shortage of the reader says nothing about blocks, whether it shows when
// a shard is opened or when it is read.
func TestWhatTheReaderLacks(t *testing.T) {
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EACCES,
		syscall.EPERM} {
		for _, kind := range []sqlrepo.ShardKind{sqlrepo.DataShard, sqlrepo.DAGShard} {
			for _, opens := range []bool{false, true} {
				w := newWorld()
				cids := w.add(1, 1, kind, contents(1, 10, 10)...)
				s := blocks.New(w, lacking{lack, opens})
				fetched := s.Fetch(t.Context(), cids, func(int, []byte) error { return nil })
				present := s.Present(t.Context(), cids, func(_ int, _ sqlrepo.Place, err error) error {
					return fmt.Errorf("blamed on a block: %w", err)
				})

				for _, err := range []error{fetched, present} {
					var blamed *blocks.BlockError
					if !errors.Is(err, lack) || errors.As(err, &blamed) {
						t.Errorf("%v: %v", lack, err)
					}
				}
			}
		}
	}
}

// lacking fails to open shards, or to read them.
type lacking struct {
	lack  error
	opens bool
}

func (l lacking) OpenShard(context.Context, sqlrepo.Shard) (store.Reading, error) {
	if l.opens {
		return l, nil
	}
	return nil, &fs.PathError{Op: "open", Path: "shard", Err: l.lack}
}

func (l lacking) ReadAt(context.Context, []byte, int64) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: "shard", Err: l.lack}
}

func (l lacking) Close() error { return nil }

type goneAway struct{ asked int }

func (g *goneAway) OpenShard(context.Context, sqlrepo.Shard) (store.Reading, error) { return g, nil }

func (g *goneAway) ReadAt(context.Context, []byte, int64) (int, error) {
	g.asked++
	return 0, fmt.Errorf("%w: %w", store.ErrUnusable, io.ErrUnexpectedEOF)
}

func (g *goneAway) Close() error { return nil }

type away struct{}

func (away) OpenShard(context.Context, sqlrepo.Shard) (store.Reading, error) {
	return nil, fmt.Errorf("%w: %w", blocks.ErrUnreachable, fs.ErrNotExist)
}

// TestStrewnBlocks uses blocks in more shards than there are tables. Few tables may be read in vain.
func TestStrewnBlocks(t *testing.T) {
	w := newWorld()
	var cids [][]cid.Cid
	for id := range int64(40) {
		cids = append(cids, w.add(id+1, 1, sqlrepo.DataShard, contents(uint64(id), repeated(8, 200)...)...))
	}

	s := w.source(t)
	for i := range 200 {
		var one []cid.Cid
		for _, of := range cids {
			one = append(one, of[i])
		}

		if err := s.Fetch(t.Context(), one, func(int, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}

	if w.tables > 100 {
		t.Errorf("%d tables were read for %d blocks", w.tables, 200*40)
	}
}
