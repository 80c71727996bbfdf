package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var errPoisoned = errors.New("poisoned")

// picky rejects shards that contain certain bytes, while it is told to.
type picky struct {
	store.Store
	refused []byte
	lenient atomic.Bool
}

type pickyBlob struct {
	store.Blob
	store *picky
}

func (s *picky) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := s.Store.Create(ctx, owner)
	return &pickyBlob{blob, s}, err
}

func (b *pickyBlob) Write(p []byte) (int, error) {
	if !b.store.lenient.Load() && bytes.Contains(p, b.store.refused) {
		return 0, errPoisoned
	}
	return b.Blob.Write(p)
}

// TestOneShardThatAlwaysFailsIsSetAside checks that everything else is done, and that the shard is tried again when
// the upload is opened again.
func TestOneShardThatAlwaysFailsIsSetAside(t *testing.T) {
	files := duplicates(t)
	files["b/poison"] = strings.Repeat("p", 100) + "poison" + strings.Repeat("q", 3<<20)
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		root := tree(t, files)
		poisoned := &picky{refused: []byte("poison")}
		f := newFixture(t, db, source.Local(), root, func(j *pipeline.Job) {
			poisoned.Store = j.Store
			j.Store = poisoned
		})

		result, err := f.run()
		if !errors.Is(err, pipeline.ErrSetAside) || !strings.Contains(err.Error(), errPoisoned.Error()) {
			t.Fatalf("got %v", err)
		}

		u := result.Upload
		if u.AsideShards != 1 || u.SettledShards != u.PlannedShards-1 || u.PlannedShards < 8 || !u.Stuck() {
			t.Errorf("%+v", u.Tally)
		}

		shards, err := f.repo.ShardsUnderWay(context.Background(), u.ID)
		must(t, err)
		if len(shards) != 1 || shards[0].Attempts != 5 || !strings.Contains(shards[0].Error, errPoisoned.Error()) {
			t.Errorf("set aside: %+v", shards)
		}

		// Once the store takes the shard, only that shard is left to do.
		poisoned.lenient.Store(true)
		upload := f.complete()
		want, err := boxoRoot(root)
		must(t, err)
		equal(t, "root", upload.RootCID.Cid, want)
		f.eachBlockOnce()
	})
}

// hanging does not return from the first opening of a file until it is released.
type hanging struct {
	*sourcetest.Synthetic
	path  string
	first atomic.Bool
	letGo chan struct{}
}

func (h *hanging) Open(path string) (source.File, error) {
	if path == h.path && h.first.CompareAndSwap(false, true) {
		<-h.letGo
	}
	return h.Synthetic.Open(path)
}

// TestWorkThatStallsIsGivenBack makes a read hang. The other worker of the process takes the shard over and
// completes the upload.
func TestWorkThatStallsIsGivenBack(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()

	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		synthetic := sourcetest.NewSynthetic(small)
		hung := &hanging{Synthetic: synthetic, path: synthetic.FilePath(0, 3), letGo: make(chan struct{})}
		f := newFixture(t, db, hung, sourcetest.Root, func(j *pipeline.Job) {
			j.Limits.Lease, j.Limits.StallTimeout = 300*time.Millisecond, 500*time.Millisecond
		})

		// The upload has to be complete while the read still hangs.
		completed := make(chan bool, 1)
		go func() {
			defer close(hung.letGo)
			completed <- f.eventuallyComplete()
		}()

		upload := f.complete()
		if !<-completed {
			t.Error("the upload was not complete before the read came back")
		}

		equal(t, "root", upload.RootCID.String(), root)
		sameNames(t, "shards", f.stored(), undisturbed.stored())
	})
}

// eventuallyComplete waits for the first upload to complete, for as long as a test may take.
func (f *fixture) eventuallyComplete() bool {
	for range 600 {
		uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
		if err == nil && len(uploads) == 1 && uploads[0].State == sqlrepo.Complete {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}
