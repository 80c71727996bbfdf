package pipeline_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// small has the sizes that the fault tests name: files 0 to 7 have a few bytes, file 8 has five chunks in several
// shards.
var small = sourcetest.Tree{Dirs: 2, Files: 9, Seed: 3, SizeOf: func(_, file int) int64 {
	if file == 8 {
		return 4<<20 + 5
	}
	return int64(file * 1000)
}}

// TestAChangedFileIsScannedAgain changes files once while they are packed. The upload has their new content.
func TestAChangedFileIsScannedAgain(t *testing.T) {
	scanAgain(t, map[string]func(*sourcetest.Synthetic){
		"a small file":         func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 3), 1) },
		"a large file, midway": func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 8), 3) },
	})
}

func scanAgain(t *testing.T, changes map[string]func(*sourcetest.Synthetic)) {
	t.Helper()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				tree := sourcetest.NewSynthetic(small)
				change(tree)
				f := newFixture(t, db, tree, sourcetest.Root)
				upload := f.complete()

				// The root is that of the changed tree.
				fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
				equal(t, "root", upload.RootCID.String(), fresh.RootCID.String())
				equal(t, "bytes", upload.Bytes, fresh.Bytes)
			})
		})
	}
}

// TestAFileThatKeepsChangingIsListed checks that everything else is packed, in one run. A file that is gone is not
// part of the upload.
func TestAFileThatKeepsChangingIsListed(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(small)
		restless, gone, broken := tree.FilePath(0, 3), tree.FilePath(0, 5), tree.FilePath(1, 8)

		// The file changes again at each read.
		for k := range 100 {
			tree.Change(restless, k+1)
		}

		removed := &removing{Synthetic: tree, path: gone}
		tree.FailRead(broken, 4, syscall.EIO)
		f := newFixture(t, db, removed, sourcetest.Root)

		result, err := f.run()
		must(t, err)
		equal(t, "state", result.Upload.State, sqlrepo.Incomplete)
		equal(t, "failed", result.Failed, 2)
		want := map[string]string{
			"d00000000/f00000003": "3: changed since it was scanned: it was modified",
			"d00000001/f00000008": "3: input/output error",
		}

		if got := f.leftOut(); !maps.Equal(got, want) {
			t.Errorf("left out: %v", got)
		}

		// The same upload completes when what failed is skipped.
		f.job.SkipFailed = true
		for k := range 100 {
			tree.Change(restless, 100+k)
		}

		skipped, err := f.run()
		must(t, err)
		equal(t, "state", skipped.Upload.State, sqlrepo.Complete)
		equal(t, "upload", skipped.Upload.ID, result.Upload.ID)
		equal(t, "files", skipped.Upload.Files, 2*9-2)
		want = map[string]string{"d00000000/f00000003": want["d00000000/f00000003"]}
		if got := f.leftOut(); !maps.Equal(got, want) {
			t.Errorf("left out of the complete upload: %v", got)
		}
	})
}

// removing removes a file as soon as it is opened.
type removing struct {
	*sourcetest.Synthetic
	path string
}

func (r *removing) Open(path string) (file source.File, err error) {
	if path == r.path {
		r.Remove(path)
	}
	return r.Synthetic.Open(path)
}

// TestWhatCouldNotBeReadIsTriedAgain makes a directory and a file unreadable, then readable again.
func TestWhatCouldNotBeReadIsTriedAgain(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(small)
		tree.Fail(tree.DirPath(0), "readdir", fs.ErrPermission)
		tree.Fail(tree.FilePath(1, 2), "open", fs.ErrPermission)
		f := newFixture(t, db, tree, sourcetest.Root)
		result, err := f.run()
		must(t, err)
		equal(t, "failed", result.Failed, 2)
		equal(t, "root", result.Upload.RootCID.String(), "")

		tree.Fail(tree.DirPath(0), "readdir", nil)
		tree.Fail(tree.FilePath(1, 2), "open", nil)
		upload := f.complete()
		equal(t, "upload", upload.ID, result.Upload.ID)
		fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
		equal(t, "root", upload.RootCID.String(), fresh.RootCID.String())
	})
}

// hide makes a directory of a tree unreadable in some way, with everything in it.
func hide(tree *sourcetest.Synthetic, op string, err error) {
	tree.Fail(tree.DirPath(0), op, err)
	for file := range 9 {
		tree.Fail(tree.FilePath(0, file), "open", err)
	}
}

// hiding is a way to make a directory unreadable.
type hiding struct {
	name, op string
	err      error
}

// TestAnUnreadableDirectoryKeepsItsContent checks that the content is neither forgotten nor read again.
func TestAnUnreadableDirectoryKeepsItsContent(t *testing.T) {
	keepContent(t, hiding{"it can't be listed", "readdir", fs.ErrPermission})
}

func keepContent(t *testing.T, hidings ...hiding) {
	t.Helper()
	for _, hiding := range hidings {
		t.Run(hiding.name, func(t *testing.T) {
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
				tree := sourcetest.NewSynthetic(small)
				counting := sourcetest.NewCounting(tree)
				f := newFixture(t, db, counting, sourcetest.Root)
				bad, changed, gone := tree.FilePath(1, 2), tree.FilePath(0, 3), tree.FilePath(0, 4)
				tree.Fail(bad, "open", fs.ErrPermission)

				first, err := f.run()
				must(t, err)
				equal(t, "failed", first.Failed, 1)

				counting.Reset()
				hide(tree, hiding.op, hiding.err)

				// The second run changes nothing: what can't be read is neither forgotten nor read again.
				for range 2 {
					hidden, err := f.run()
					must(t, err)
					equal(t, "failed", hidden.Failed, 2)
					equal(t, "listed", len(f.leftOut()), 2)
					equal(t, "state", hidden.Upload.State, sqlrepo.Incomplete)
				}

				equal(t, "bytes read without it", counting.Total().BytesRead, 0)

				// Only what changed, and the file that could not be read before, is read.
				hide(tree, hiding.op, nil)
				tree.Fail(bad, "open", nil)
				tree.Change(changed, 0)
				tree.Remove(gone)
				upload := f.complete()
				equal(t, "upload", upload.ID, first.Upload.ID)
				equal(t, "bytes read", counting.Total().BytesRead, 2000+3000)
				equal(t, "bytes read of what changed", counting.Path(changed).BytesRead, 3000)

				fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
				equal(t, "root", upload.RootCID.String(), fresh.RootCID.String())
				equal(t, "files", upload.Files, 2*9-1)
			})
		})
	}
}

// TestAnUploadCanSkipAnUnreadableDirectory checks that the directory's content is left out, and is read again for
// the next upload.
func TestAnUploadCanSkipAnUnreadableDirectory(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		tree, without := sourcetest.NewSynthetic(small), sourcetest.NewSynthetic(small)
		counting := sourcetest.NewCounting(tree)
		f := newFixture(t, db, counting, sourcetest.Root)
		bad := tree.FilePath(1, 2)

		tree.Fail(bad, "open", fs.ErrPermission)
		first, err := f.run()
		must(t, err)

		hide(tree, "readdir", fs.ErrPermission)
		f.job.SkipFailed = true
		skipped := f.complete()
		equal(t, "upload", skipped.ID, first.Upload.ID)
		left := map[string]string{"d00000000": "3: permission denied", "d00000001/f00000002": "3: permission denied"}
		if got := f.leftOut(); !maps.Equal(got, left) {
			t.Errorf("left out: %v", got)
		}

		// The root is that of a tree without the directory and the file.
		without.Remove(without.DirPath(0))
		without.Remove(without.FilePath(1, 2))
		fresh := newFixture(t, enginetest.Engines()[0].Open(t), without, sourcetest.Root).complete()
		equal(t, "root", skipped.RootCID.String(), fresh.RootCID.String())

		// The next upload has all content, and reads only what the first one skipped.
		hide(tree, "readdir", nil)
		tree.Fail(bad, "open", nil)
		counting.Reset()
		next := f.complete()
		equal(t, "bytes read of what the upload has", counting.Path(tree.FilePath(1, 8)).BytesRead, 0)
		equal(t, "bytes read of what it skipped", counting.Total().BytesRead, next.Bytes-skipped.Bytes)
		fresh = newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
		equal(t, "root of the next upload", next.RootCID.String(), fresh.RootCID.String())
	})
}

// TestADirectoryIsUnreadableMidway makes a directory unreadable when only some of the plan is packed.
func TestADirectoryIsUnreadableMidway(t *testing.T) { unreadableAfter(t, 3) }

// unreadableAfter makes a directory unreadable after some shards are packed, once for each number of shards.
func unreadableAfter(t *testing.T, numbers ...int64) {
	t.Helper()
	fresh := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root).complete()
	for _, shards := range numbers {
		for _, skip := range []bool{false, true} {
			tree, faulty := sourcetest.NewSynthetic(small), &faultyStore{failure: syscall.ENOSPC}
			f := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root, withFaultyStore(faulty))

			// The run fails in the middle of packing, after some shards.
			faulty.onCommit = func(n int64) {
				if n == shards {
					faulty.failAt.Store(1)
				}
			}

			if _, err := f.run(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}

			faulty.failAt.Store(0)
			hide(tree, "readdir", fs.ErrPermission)
			f.job.SkipFailed = skip
			result, err := f.run()
			must(t, err)
			equal(t, "failed", result.Failed, 1)
			equal(t, "complete", result.Upload.State == sqlrepo.Complete, skip)

			hide(tree, "readdir", nil)
			equal(t, "root", f.complete().RootCID.String(), fresh.RootCID.String())
		}
	}
}

// TestASourceThatIsLostFailsTheRun checks that the files are not blamed.
func TestASourceThatIsLostFailsTheRun(t *testing.T) {
	for _, failure := range []error{fs.ErrNotExist, syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ETIMEDOUT} {
		tree := sourcetest.NewSynthetic(small)
		lost := &losing{Synthetic: tree, failure: failure}
		f := newFixture(t, enginetest.Engines()[0].Open(t), lost, sourcetest.Root)
		if _, err := f.run(); !errors.Is(err, source.ErrGone) || !errors.Is(err, failure) {
			t.Errorf("got %v", err)
		}
		equal(t, "entries left out", len(f.leftOut()), 0)
	}
}

// losing loses its tree when the first file is opened.
type losing struct {
	*sourcetest.Synthetic
	failure error
}

func (l *losing) Open(path string) (source.File, error) {
	l.Fail(sourcetest.Root, "stat", l.failure)
	l.Fail(path, "open", l.failure)
	return l.Synthetic.Open(path)
}

// TestAShortageIsBlamedOnNoFile checks that the run fails even if failed files are skipped, and that another run
// completes the upload.
func TestAShortageIsBlamedOnNoFile(t *testing.T) { blameNoFile(t, syscall.EMFILE) }

func blameNoFile(t *testing.T, failures ...error) {
	t.Helper()
	shortages := map[string]func(*sourcetest.Synthetic, error){
		"readdir": func(s *sourcetest.Synthetic, err error) { s.Fail(s.DirPath(1), "readdir", err) },
		"lstat":   func(s *sourcetest.Synthetic, err error) { s.Fail(s.FilePath(1, 3), "lstat", err) },
		"open":    func(s *sourcetest.Synthetic, err error) { s.Fail(s.FilePath(1, 3), "open", err) },
		"read":    func(s *sourcetest.Synthetic, err error) { s.FailRead(s.FilePath(1, 3), 1, err) },
		"read on": func(s *sourcetest.Synthetic, err error) { s.FailRead(s.FilePath(1, 8), 3, err) },
	}

	for name, runShort := range shortages {
		t.Run(name, func(t *testing.T) {
			for _, shortage := range failures {
				tree := sourcetest.NewSynthetic(small)
				f := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root)
				f.job.SkipFailed = true
				runShort(tree, shortage)
				if _, err := f.run(); !errors.Is(err, shortage) {
					t.Errorf("got %v", err)
				}

				// State 3 is Failed.
				for path, left := range f.leftOut() {
					if strings.HasPrefix(left, "3:") {
						t.Errorf("%s is blamed: %s", path, left)
					}
				}

				runShort(tree, nil)
				equal(t, "files", f.complete().Files, 2*9)
			}
		})
	}
}

// later returns the repository with a clock that says that all leases have ended.
func (f *fixture) later() *sqlrepo.Repository {
	return sqlrepo.New(f.db, sqlrepo.WithClock(func() time.Time { return time.Now().Add(time.Hour) }))
}

// TestLostLeasesAreClaimedAgain opens the upload again behind the back of a run, which loses its leases.
func TestLostLeasesAreClaimedAgain(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		faulty := &faultyStore{}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty))

		// At several points of the run, somebody else opens the upload again as if all leases had ended.
		faulty.onSync = func(n int64) {
			if n == 1 || n == 4 || n == 9 {
				fresh := f.job.Fresh
				var err error
				fresh.Store, err = f.job.Store.Identify(context.Background())
				must(t, err)
				_, err = f.later().OpenUpload(context.Background(), f.job.Source.ID, fresh)
				must(t, err)
			}
		}

		equal(t, "root", f.complete().RootCID.String(), root)
		sameNames(t, "shards", f.stored(), undisturbed.stored())
		sameDump(t, f.dump(), undisturbed.dump())
	})
}

// TestRunsShareAnUpload makes a second run join while the first one packs.
func TestRunsShareAnUpload(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		faulty := &faultyStore{}
		f := newFixture(t, db, sourcetest.NewSynthetic(mixed), sourcetest.Root, withFaultyStore(faulty))

		var second sync.WaitGroup
		faulty.onSync = func(n int64) {
			if n != 1 {
				return
			}
			other := f.job
			other.Progress = &progress.Counters{}
			second.Go(func() {
				result, err := other.Run(context.Background())
				if err != nil || result.Upload.RootCID.String() != root {
					t.Errorf("the second run: %v, %v", result.Upload.RootCID, err)
				}
			})
		}

		equal(t, "root", f.complete().RootCID.String(), root)
		second.Wait()
		sameNames(t, "shards", f.stored(), undisturbed.stored())
		sameDump(t, f.dump(), undisturbed.dump())
	})
}

// TestTheServerGoesAwayAndComesBack stops PostgreSQL twice in the middle of packing.
func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()

	server := pgtest.Start(t)
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())})
	faulty := &faultyStore{}
	f := newFixture(t, db, sourcetest.NewSynthetic(mixed), sourcetest.Root, withFaultyStore(faulty))

	var starting sync.WaitGroup
	defer starting.Wait()

	// The server is away for half a second, twice.
	faulty.onCommit = func(n int64) {
		if n == 2 || n == 6 {
			server.Stop(pgtest.Immediate)
			starting.Go(func() {
				time.Sleep(500 * time.Millisecond)
				server.Start()
			})
		}
	}

	equal(t, "root", f.complete().RootCID.String(), root)
	sameNames(t, "shards", f.stored(), undisturbed.stored())
	sameDump(t, f.dump(), undisturbed.dump())
}
