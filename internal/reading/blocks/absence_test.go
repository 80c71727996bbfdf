package blocks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

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

// TestShardsOfAStoreThatIsAway requires that shards of a store out of reach are not tried again if a shard of another
// store has the block, and do not count as damaged.
func TestShardsOfAStoreThatIsAway(t *testing.T) {
	w := newWorld()
	both := contents(1, repeated(40, 10)...)
	w.add(1, 1, sqlrepo.DataShard, both...)
	cids := w.add(2, 1, sqlrepo.DataShard, both...)
	only := w.add(3, 1, sqlrepo.DataShard, contents(2, 10)...)[0]
	w.shards[2].away, w.shards[3].away = true, true
	s := w.source(t)

	for _, c := range cids {
		must(s.Get(t.Context(), c))(t)
	}
	if w.opens > 3 {
		t.Errorf("shards were opened %d times", w.opens)
	}

	_, err := s.Get(t.Context(), only)
	if !errors.Is(err, blocks.ErrUnreachable) || errors.Is(err, blocks.ErrDamaged) {
		t.Errorf("a block of a store that is away: %v", err)
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
