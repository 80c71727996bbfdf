package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

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
