package pipeline_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// sending is a store that takes long to receive bytes.
type sending struct {
	store.Store
	stage func(ctx context.Context, name string, sent func(n int64)) error
	// begun counts blobs.
	begun atomic.Int64

	mu     sync.Mutex
	staged map[string]bool
	// unstaged lists the blobs that were committed without being staged.
	unstaged []string
}

func (s *sending) Create(ctx context.Context, owner string) (store.Blob, error) {
	s.begun.Add(1)
	blob, err := s.Store.Create(ctx, owner)
	return &sendingBlob{blob, s}, err
}

type sendingBlob struct {
	store.Blob
	store *sending
}

func (b *sendingBlob) Stage(ctx context.Context, name string, sent func(n int64)) error {
	if b.store.stage != nil {
		if err := b.store.stage(ctx, name, sent); err != nil {
			return err
		}
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.staged[name] = true
	return b.Blob.Stage(ctx, name, sent)
}

func (b *sendingBlob) Commit(ctx context.Context, name string) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if strings.HasSuffix(name, ".car") && !b.store.staged[name] {
		b.store.unstaged = append(b.store.unstaged, name)
	}
	return b.Blob.Commit(ctx, name)
}

// TestBytesAreSentBeforeTheSpaceIsHeld includes shards that are written again without what the space holds.
func TestBytesAreSentBeforeTheSpaceIsHeld(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		far := &sending{staged: map[string]bool{}}
		f := newFixture(t, db, source.Local(), tree(t, duplicates(t)), func(j *pipeline.Job) {
			far.Store = j.Store
			j.Store = far
		})
		f.complete()
		f.eachBlockOnce()
		if len(far.staged) == 0 || len(far.unstaged) > 0 {
			t.Errorf("%d were staged, and not %v", len(far.staged), far.unstaged)
		}
	})
}

// TestSendingIsProgress checks that a worker that sends bytes for longer than the stall timeout keeps its work.
func TestSendingIsProgress(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		const stall = 300 * time.Millisecond
		far := &sending{staged: map[string]bool{}}
		var slow sync.Once

		// The first shard takes three times as long to send as a worker may stall.
		far.stage = func(ctx context.Context, _ string, sent func(n int64)) error {
			slow.Do(func() {
				tick := time.NewTicker(stall / 20)
				defer tick.Stop()
				for end := time.Now().Add(3 * stall); time.Now().Before(end) && ctx.Err() == nil; <-tick.C {
					sent(1)
				}
			})
			return ctx.Err()
		}

		f := newFixture(t, db, source.Local(), tree(t, duplicates(t)), func(j *pipeline.Job) {
			far.Store = j.Store
			j.Store, j.Workers = far, 1
			j.Limits.Lease, j.Limits.StallTimeout = stall, stall
		})

		// A worker that lost its lease would begin the shard again.
		upload := f.complete()
		if upload.SettledShards == 0 || far.begun.Load() > 3*upload.SettledShards {
			t.Errorf("%d blobs were begun for %d shards", far.begun.Load(), upload.SettledShards)
		}
	})
}

// TestAStoreThatKeepsNothing checks that such a store leaves the same rows as any other, but no file.
func TestAStoreThatKeepsNothing(t *testing.T) {
	root := tree(t, duplicates(t))
	kept := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
	want := kept.complete()

	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root, keepNothing)
		upload := f.complete()
		equal(t, "root", upload.RootCID, want.RootCID)
		equal(t, "dump", f.dump(), kept.dump())

		for shard, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
			must(t, err)
			if shard.State == sqlrepo.ShardPacked {
				equal(t, "store", shard.Store, store.NoneIdentity)
			}
		}

		left, err := os.ReadDir(f.job.TempDir)
		must(t, err)
		if len(left) > 0 || len(f.stored()) > 0 {
			t.Errorf("left over: %v, %v", left, f.stored())
		}
	})
}

// TestContentLiesInTheStoreOfItsUpload prepares a source in different stores in turn. Each store gets all the
// content, whatever the other stores hold.
func TestContentLiesInTheStoreOfItsUpload(t *testing.T) {
	root := tree(t, duplicates(t))
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root)
		f.complete()
		first, want := f.dir, f.blocks()

		f.moveTo(filepath.Join(t.TempDir(), "second"))
		f.complete()
		if !maps.Equal(f.blocks(), want) {
			t.Errorf("the second store has %d blocks, want %d", len(f.blocks()), len(want))
		}

		// What no store keeps does not count as held in the third store.
		f.job.Store = store.NewNone(f.job.TempDir)
		f.complete()
		f.moveTo(filepath.Join(t.TempDir(), "third"))
		f.complete()
		if !maps.Equal(f.blocks(), want) {
			t.Errorf("the third store has %d blocks, want %d", len(f.blocks()), len(want))
		}

		f.moveTo(first)
		f.complete()
		if !maps.Equal(f.blocks(), want) {
			t.Error("the first store has blocks again that it had")
		}
	})
}

// moveTo makes the job go on with the store in another directory.
func (f *fixture) moveTo(dir string) {
	f.tb.Helper()
	shards, err := store.OpenDirectory(dir)
	must(f.tb, err)
	f.dir, f.job.Store = dir, shards
}

// TestABlockOnlyAnotherStoreHasIsMissing checks that such a block of an upload is reported as missing.
func TestABlockOnlyAnotherStoreHasIsMissing(t *testing.T) {
	root := tree(t, map[string]string{"a": "a"})
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root)
		f.complete()
		f.moveTo(filepath.Join(t.TempDir(), "second"))
		second := f.complete()
		_, err := db.Writer.ExecContext(t.Context(),
			"DELETE FROM nodes WHERE shard IN (SELECT id FROM shards WHERE upload = 2 AND kind = 2)")
		must(t, err)

		for _, problem := range checktest.Problems(t, f.repo, f.dir) {
			if problem.Code == check.CodeBlockMissing && problem.Upload == second.ID {
				return
			}
		}

		t.Error("nothing is told of what the other store alone has")
	})
}

// TestWhatNoStoreKeepsIsEachUploadsOwn checks that each source has all that is needed to make its uploads again.
func TestWhatNoStoreKeepsIsEachUploadsOwn(t *testing.T) {
	root := tree(t, duplicates(t))
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root, keepNothing)
		first := f.nodes(f.complete())
		var err error
		f.job.Source, err = f.repo.AddSource(t.Context(), sqlrepo.Source{
			Space: f.job.Space.ID, Name: "copy", Path: []byte(tree(t, duplicates(t))), SourceOptions: f.job.Source.SourceOptions,
		})
		must(t, err)
		equal(t, "nodes of a copy", f.nodes(f.complete()), first)
	})
}

// nodes returns the number of nodes of an upload's shards.
func (f *fixture) nodes(upload sqlrepo.Upload) (n int64) {
	f.tb.Helper()
	for shard, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
		must(f.tb, err)
		n += shard.Nodes
	}
	return n
}

func keepNothing(j *pipeline.Job) { j.Store = store.NewNone(j.TempDir) }

// TestAnUploadStaysInItsStore checks that the shards of one upload are either all kept or all not kept.
func TestAnUploadStaysInItsStore(t *testing.T) {
	files := duplicates(t)
	files["b/poison"] = strings.Repeat("p", 100) + "poison" + strings.Repeat("q", 3<<20)
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), tree(t, files))
		directory, none := f.job.Store, store.Store(store.NewNone(f.job.TempDir))
		begun := &picky{Store: none, refused: []byte("poison")}
		f.job.Store = begun
		if _, err := f.run(); !errors.Is(err, pipeline.ErrSetAside) {
			t.Fatalf("%v", err)
		}

		f.job.Store = directory
		if _, err := f.run(); !errors.Is(err, sqlrepo.ErrOtherStore) {
			t.Errorf("it went on in a directory: %v", err)
		}

		f.job.Store = none
		f.complete()
	})
}
