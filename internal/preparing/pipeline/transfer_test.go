package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// on returns the same job on another database, with the same store.
func (f *fixture) on(db *dialect.DB) *fixture {
	other := *f
	other.db, other.repo = db, sqlrepo.New(db)
	other.job.Repo = other.repo
	return &other
}

// interruptAt ends a run when shard k is about to get its name.
func (f *fixture) interruptAt(k int64) {
	f.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var commits atomic.Int64
	job := f.job
	job.Progress = &progress.Counters{}
	job.Store = &storetest.Faulty{Store: job.Store, Fail: func(op string) error {
		if op == "commit" && commits.Add(1) == k {
			cancel()
		}
		return nil
	}}

	if _, err := job.Run(ctx); !errors.Is(err, context.Canceled) {
		f.tb.Fatalf("the run ended before shard %d: %v", k, err)
	}
}

// sameAs compares the results of two runs.
func (f *fixture) sameAs(t *testing.T, want *fixture) {
	t.Helper()
	sameNames(t, "shards", f.stored(), want.stored())
	sameDump(t, f.dump(), want.dump())
}

// few is mixed with fewer files.
func few() sourcetest.Tree {
	tree := mixed
	tree.Dirs = 2
	return tree
}

// TestAnInterruptedRunGoesOnElsewhere moves an unfinished upload to another engine, and back again.
func TestAnInterruptedRunGoesOnElsewhere(t *testing.T) { goOnElsewhere(t, 4) }

// goOnElsewhere interrupts a run at each of some shards.
func goOnElsewhere(t *testing.T, shards ...int64) {
	t.Helper()
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root)
	undisturbed.complete()
	engines := enginetest.Engines()

	for i, here := range engines {
		there := engines[(i+1)%len(engines)]
		for _, at := range shards {
			t.Run(fmt.Sprintf("%s to %s at shard %d", here.Name, there.Name, at), func(t *testing.T) {
				f := newFixture(t, here.Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root)
				f.interruptAt(at)

				moved := f.movedTo(there.Open(t))
				moved.interruptAt(3)

				back := moved.movedTo(here.Open(t))
				back.complete()
				back.sameAs(t, undisturbed)
			})
		}
	}
}

// movedTo removes the leases that an interrupted run may have left.
func (f *fixture) movedTo(db *dialect.DB) *fixture {
	f.tb.Helper()
	moved := f.on(db)
	_, err := copying.New(f.repo).TransferTo(context.Background(), moved.repo, copying.Transfer{AllowLive: true})
	must(f.tb, err)
	return moved
}

// TestARunGoesOnFromBackups takes backups while 8 goroutines pack, and finishes the upload from some of them. The store
// has the files packed after the backup, and the files that a killed process left.
func TestARunGoesOnFromBackups(t *testing.T) { goOnFromBackups(t, 4) }

// goOnFromBackups finishes the upload from every nth backup.
func goOnFromBackups(t *testing.T, n int) {
	t.Helper()
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root)
	undisturbed.complete()
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			f := newFixture(t, engine.Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root,
				func(j *pipeline.Job) { j.Workers, j.ReadAhead = 8, 16 })
			files := f.backUpWhileRunning()
			f.sameAs(t, undisturbed)

			packing := 0
			for i := n - 1; i < len(files); i += n {
				file := files[i]
				restored := f.restore(t, file, enginetest.Engines()[i/n%2].Open(t))
				if restored.latest().State == sqlrepo.Packing {
					packing++
				}
				restored.finish()
				restored.sameAs(t, undisturbed)
			}

			if packing == 0 || n == 1 && packing < 2 {
				t.Errorf("of %d backups, %d are of shards being packed", len(files), packing)
			}
		})
	}
}

// backUpWhileRunning takes one backup after the other until the run ends. Every second shard waits for a backup
// before it gets its name. The last backup is of the complete upload.
func (f *fixture) backUpWhileRunning() (files []string) {
	f.tb.Helper()
	ended, taken := make(chan error, 1), make(chan struct{})
	slow := f.on(f.db)

	// Every second commit waits until a backup was taken.
	slow.job.Store = &storetest.Faulty{Store: f.job.Store, Fail: everySecond("commit", func() { <-taken })}
	go func() {
		_, err := slow.run()
		ended <- err
	}()

	defer close(taken)
	dir, running := f.tb.TempDir(), true
	for {
		file := filepath.Join(dir, fmt.Sprintf("%d.db", len(files)))
		_, err := backup.Write(context.Background(), f.repo, file, backup.Options{})
		must(f.tb, err)
		files = append(files, file)
		if !running {
			return files
		}

		// Either a commit waits, and goes on now, or the run has ended.
		select {
		case taken <- struct{}{}:
		case err := <-ended:
			must(f.tb, err)
			running = false
		}
	}
}

// everySecond calls fn at every second call of an operation.
func everySecond(op string, fn func()) func(string) error {
	var calls atomic.Int64
	return func(called string) error {
		if called == op && calls.Add(1)%2 == 0 {
			fn()
		}
		return nil
	}
}

// latest returns the last upload, or the zero Upload if there is none.
func (f *fixture) latest() (upload sqlrepo.Upload) {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	if len(uploads) > 0 {
		upload = uploads[len(uploads)-1]
	}
	return upload
}

// restore restores a backup to another database.
func (f *fixture) restore(t *testing.T, file string, db *dialect.DB) *fixture {
	t.Helper()
	ctx := context.Background()
	restored := f.on(db)
	archive, err := backup.Open(ctx, file, t.TempDir(), nil)
	must(t, err)
	_, err = archive.Restore(ctx, restored.repo, nil)
	must(t, errors.Join(err, archive.Close()))
	return restored
}

// finish completes the upload if it is not complete. It first leaves the unfinished shard of a killed process in
// the store.
func (f *fixture) finish() {
	f.tb.Helper()
	if f.latest().State == sqlrepo.Complete {
		return
	}
	blob, err := f.job.Store.Create(context.Background(), "z6MkTest-1-12345")
	must(f.tb, err)
	_, err = blob.Write([]byte("half a shard"))
	must(f.tb, err)
	f.complete()
}
