package check_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// TestContentThatCanNotBeHadAgain: lost content is listed, and the older upload that has lost it becomes incomplete.
// The newest one is completed, and the older one stays as it is.
func TestContentThatCanNotBeHadAgain(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.write("old/large", 9, 1<<20+5)
		f.write("old/twice", 9, 1<<20+5)
		must(t, os.Remove(filepath.Join(f.root, "new", "mixed")))
		f.run()
		want := f.roots()
		must(t, os.Remove(f.file(f.shardOf(0, sqlrepo.DataShard))))

		did := f.repair()
		f.finish()
		f.sound(strings.Join(did, "; "))
		got := f.roots()
		if got[0] != "" || got[1] != "" || got[2] != want[2] || len(got) != 3 {
			t.Errorf("roots %q, were %q, after %q", got, want, did)
		}

		for i, left := range [][]string{{"old/large", "old/twice"}, {"new/mixed", "old/large", "old/twice"}, nil} {
			if got := f.leftOut(f.uploads[i].ID); !slices.Equal(got, left) {
				t.Errorf("upload %d: left out are %q, want %q", i+1, got, left)
			}
		}

		f.write("new/later", 10, 10)
		f.run()
		f.sound("after another upload")
		if last := f.uploads[len(f.uploads)-1]; last.ID != 4 {
			t.Errorf("upload %d went on where another was to begin", last.ID)
		}
	})
}

// leftOut returns the paths of the entries that are left out of an upload.
func (f *fixture) leftOut(upload int64) (paths []string) {
	f.Helper()
	for entry, err := range f.repo.LeftOut(f.Context(), upload) {
		must(f, err)
		paths = append(paths, entry.Path.String())
	}
	return paths
}

// TestAnUnfinishedUpload: an unfinished upload that has lost a shard packs it again.
func TestAnUnfinishedUpload(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.write("new/more", 11, 6<<20)
		f.interrupt(3)
		f.sound("after an interruption")
		f.execute("UPDATE uploads SET sealed = 99 WHERE state = 3")
		if got := codes(f.problems()); !slices.Contains(got, audit.FlawTallySealed) {
			t.Errorf("found %q", got)
		}

		f.repair()
		f.sound("after its tally was repaired")
		must(t, os.Remove(f.file(f.shardOf(2, sqlrepo.DataShard))))
		if got := codes(f.problems()); !slices.Contains(got, check.CodeShardMissing) {
			t.Errorf("found %q", got)
		}

		did := f.repair()
		f.sound("after " + strings.Join(did, "; "))
		f.finish()
		f.sound("at the end")
		if len(f.uploads) != 3 {
			t.Errorf("there are %d uploads", len(f.uploads))
		}
	})
}

// interrupt ends a run when so many shards are to be stored.
func (f *fixture) interrupt(after int) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	job := f.job
	job.Progress = &progress.Counters{}
	job.Store = &watched{Store: job.Store, commit: func() {
		if after--; after == 0 {
			cancel()
		}
	}}
	if _, err := job.Run(ctx); err == nil {
		f.Fatal("the run was not interrupted")
	}

	// A busy database may not have taken the work back in time. Then the leases have to end.
	err := f.repo.AtWork(f.Context())
	for ; errors.Is(err, sqlrepo.ErrAtWork); err = f.repo.AtWork(f.Context()) {
		time.Sleep(100 * time.Millisecond)
	}
	must(f, err)

	f.uploads, err = f.repo.Uploads(f.Context(), sqlrepo.UploadFilter{})
	must(f, err)
}

// watched calls commit before each blob is committed, one blob after the other.
type watched struct {
	store.Store
	commit func()
}

func (w *watched) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := w.Store.Create(ctx, owner)
	return &watchedBlob{blob, w.commit}, err
}

type watchedBlob struct {
	store.Blob
	commit func()
}

func (b *watchedBlob) Commit(ctx context.Context, name string) error {
	b.commit()
	return b.Blob.Commit(ctx, name)
}

// TestWorkUnderWayIsNoProblem checks continuously while an upload is prepared, and each time before a shard is
// recorded.
func TestWorkUnderWayIsNoProblem(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.write("new/more", 12, 4<<20)
		must(t, os.Remove(filepath.Join(f.root, "old", "3")))
		checker, err := checktest.Checker(t, f.repo, f.dir)
		must(t, err)

		var checks atomic.Int64
		underWay := func() {
			checks.Add(1)
			problems, err := checktest.Find(t.Context(), checker)
			if err != nil {
				t.Error(err)
			}

			for _, problem := range problems {
				if !problem.Note {
					t.Errorf("during the run: %s", problem)
				}
			}
		}

		f.job.Store = &watched{Store: f.job.Store, commit: underWay}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)

			for {
				select {
				case <-stop:
					return
				default:
					underWay()
				}
			}
		}()

		f.run()
		close(stop)
		<-stopped
		if checks.Load() < 5 {
			t.Errorf("only %d checks were made", checks.Load())
		}
	})
}

// TestAShardThatOthersShare: the first upload that needs a lost shard packs it again. The others get its blocks back
// from that.
func TestAShardThatOthersShare(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		first := f.job
		second := *f
		second.root = t.TempDir()
		second.write("copy", 1, 1<<20+5)
		second.write("own", 14, 1000)

		var err error
		second.job.Source, err = f.repo.AddSource(t.Context(), sqlrepo.Source{Space: f.job.Space.ID, Name: "second",
			Path: []byte(second.root), SourceOptions: f.job.Source.SourceOptions})
		must(t, err)
		second.run()
		f.sound("at first")
		want := f.roots()
		must(t, os.Remove(f.file(f.shardOf(0, sqlrepo.DataShard))))

		did := f.repair()
		second.finish()
		f.job = first
		f.finish()
		f.sound("after " + strings.Join(did, "; "))
		if got := f.roots(); !slices.Equal(got, want) {
			t.Errorf("roots %q, want %q", got, want)
		}
	})
}

// TestRepairNeedsThatNobodyWorks: a repair is refused while a process is at work, and names it.
func TestRepairNeedsThatNobodyWorks(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		use, err := f.repo.LockUse(t.Context())
		must(t, err)
		if _, _, err := check.Lock(t.Context(), f.repo); !errors.Is(err, sqlrepo.ErrLocked) {
			t.Errorf("with a worker: %v", err)
		}
		must(t, use.Release())

		f.write("new/more", 13, 10)
		opened, err := f.repo.OpenUpload(t.Context(), f.job.Source.ID, f.job.Fresh)
		must(t, err)
		stage, err := f.repo.ClaimStage(t.Context(), sqlrepo.Claim{Worker: "somebody", Term: time.Minute}, opened.Upload.ID)
		must(t, err)

		_, _, err = check.Lock(t.Context(), f.repo)
		if !errors.Is(err, sqlrepo.ErrAtWork) || !strings.Contains(err.Error(), "somebody") {
			t.Errorf("with a lease: %v", err)
		}
		must(t, f.repo.Release(t.Context(), stage))
		_, lock, err := check.Lock(t.Context(), f.repo)
		must(t, err)
		must(t, lock.Release())
	})
}

// TestOneUpload finds only the problems of one upload.
func TestOneUpload(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.execute("UPDATE uploads SET files = 0 WHERE id = 2")
		must(t, os.Remove(f.file(f.shardOf(1, sqlrepo.DataShard))))
		for upload, want := range map[int64][]string{1: nil, 2: {audit.FlawUploadCounts, check.CodeShardMissing}} {
			checker, err := checktest.Checker(t, f.repo, f.dir)
			must(t, err)

			checker.Upload = &upload
			problems, err := checktest.Find(t.Context(), checker)
			must(t, err)
			if got := codes(problems); !slices.Equal(got, want) {
				t.Errorf("upload %d: found %q, want %q", upload, got, want)
			}
		}
	})
}

// TestTheWrongStore: with the wrong store, no shard counts as lost.
func TestTheWrongStore(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		for _, identified := range []bool{false, true} {
			directory := t.TempDir()
			other, err := store.OpenDirectory(directory)
			must(t, err)
			if identified {
				_, err := other.Identify(t.Context())
				must(t, err)
			}

			repairer := f.repairer(func(change string) error {
				t.Errorf("repaired: %s", change)
				return nil
			})

			repairer.Stores, err = checktest.Places(t.Context(), f.repo, directory)
			must(t, err)
			if err := repairer.Run(t.Context()); !errors.Is(err, check.ErrStoreUnknown) && !errors.Is(err, store.ErrAbsent) {
				t.Errorf("%v", err)
			}
		}
		f.sound("after that")
	})
}

// TestWhatReportReturns: an error of the report function ends the check.
func TestWhatReportReturns(t *testing.T) {
	t.Parallel()
	db := enginetest.Engines()[0].Open(t)
	f := newFixture(t, db)
	failure := errors.New("enough")
	for _, damage := range []string{
		"UPDATE uploads SET files = 0", "UPDATE roots SET dag_size = 1",
		"UPDATE shards SET nodes = nodes + 1 WHERE state = 3",
	} {
		f.execute(damage)
		checker, err := checktest.Checker(t, f.repo, f.dir)
		must(t, err)

		_, err = checker.Run(t.Context(), func(check.Problem) error { return failure })
		if !errors.Is(err, failure) {
			t.Errorf("%s: %v", damage, err)
		}
		f.repair()
		f.finish()
	}
	f.sound("at the end")
}
