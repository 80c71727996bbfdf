package pipeline_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// moments calls back at the moments of a run that a store sees: before shard n is begun and any of its files is
// read, and after shard n is written.
type moments struct {
	store.Store
	mu           sync.Mutex
	begun, whole int
	begin, end   func(n int)
}

type momentsBlob struct {
	store.Blob
	store *moments
}

func (s *moments) Create(ctx context.Context, owner string) (store.Blob, error) {
	s.mu.Lock()
	if s.begun++; s.begin != nil {
		s.begin(s.begun)
	}
	s.mu.Unlock()
	blob, err := s.Store.Create(ctx, owner)
	return &momentsBlob{blob, s}, err
}

func (b *momentsBlob) Sync(ctx context.Context) error {
	err := b.Blob.Sync(ctx)
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if b.store.whole++; b.store.end != nil {
		b.store.end(b.store.whole)
	}
	return err
}

func withMoments(s *moments) change {
	return func(j *pipeline.Job) {
		s.Store, j.Store, j.Workers = j.Store, s, 1
	}
}

// moving returns a source that changes. Its files fill two shards.
func moving(tb testing.TB) string {
	tb.Helper()
	large := make([]byte, 5<<19)
	_, _ = rand.Read(large)
	return tree(tb, map[string]string{
		"a/large": string(large), "a/small": "small", "b/changed": "as it was", "b/gone": "gone", "dir/sub/x": "x",
		"dir/y": "y",
		"z":     "last",
	})
}

// rootOf returns the present root of a source, computed by the reference.
func rootOf(tb testing.TB, path string) string {
	tb.Helper()
	root, err := boxoRoot(path)
	must(tb, err)
	return root.String()
}

// TestWhatChangesDuringARunIsScannedAgain changes a source in many ways, each after its files are read.
func TestWhatChangesDuringARunIsScannedAgain(t *testing.T) { changeDuringRun(t, "after") }

// changeDuringRun changes a source in many ways, "before" or "after" its files are read.
func changeDuringRun(t *testing.T, whens ...string) {
	t.Helper()
	changes := map[string]func(root string) error{
		"a file vanishes": func(root string) error { return os.Remove(filepath.Join(root, "b/gone")) },
		"a file comes": func(root string) error {
			return os.WriteFile(filepath.Join(root, "b/new"), []byte("new"), 0o600)
		},
		"a file comes, and its directory is dated back": func(root string) error {
			before, err := os.Stat(filepath.Join(root, "b"))
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(filepath.Join(root, "b/new"), []byte("new"), 0o600),
				os.Chtimes(filepath.Join(root, "b"), time.Time{}, before.ModTime()))
		},
		"a directory is renamed": func(root string) error {
			return os.Rename(filepath.Join(root, "dir"), filepath.Join(root, "a/dir"))
		},
		"a directory vanishes": func(root string) error { return os.RemoveAll(filepath.Join(root, "dir")) },
		"a file is a directory now": func(root string) error {
			path := filepath.Join(root, "b/gone")
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(path+"/new", nil, 0o600))
		},
	}

	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		for name, change := range changes {
			for _, when := range whens {
				t.Run(name+" "+when, func(t *testing.T) {
					clearAll(t, db)
					root := moving(t)
					s := &moments{}
					do := func(at int) func(int) {
						return func(n int) {
							if n == at {
								if err := change(root); err != nil {
									t.Error(err)
								}
							}
						}
					}

					// The change comes before any file is read, or after all files were packed.
					if s.begin = do(1); when == "after" {
						s.begin, s.end = nil, do(2)
					}

					f := newFixture(t, db, source.Local(), root, withMoments(s))
					upload := f.complete()
					equal(t, "root", upload.RootCID.String(), rootOf(t, root))
					equal(t, "left out", len(f.leftOut()), 0)
				})
			}
		}
	})
}

// TestACoarseClockHidesNoName adds a name within the tick of its directory's last change.
func TestACoarseClockHidesNoName(t *testing.T) {
	for name, traits := range map[string]source.Traits{
		"ext3": {Tick: time.Hour}, // really 1 s, but machines are busy
		"SMB":  {NoInode: true, NoCtime: true, Tick: time.Hour, Remote: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := moving(t)
			stopped := time.Now().Truncate(time.Second)
			must(t, os.Chtimes(filepath.Join(root, "b"), time.Time{}, stopped))

			// The clock of the file system stands still, so the directory's time does not change.
			s := &moments{begin: func(n int) {
				if n == 1 {
					must(t, os.WriteFile(filepath.Join(root, "b/new"), []byte("new"), 0o600))
					must(t, os.Chtimes(filepath.Join(root, "b"), time.Time{}, stopped))
				}
			}}

			f := newFixture(t, enginetest.Engines()[0].Open(t), described{source.Local(), traits}, root, withMoments(s))
			equal(t, "root", f.complete().RootCID.String(), rootOf(t, root))
			equal(t, "left out", len(f.leftOut()), 0)
		})
	}
}

// TestWhatKeepsMovingIsListed renames a directory in each of two rounds, and then once more.
func TestWhatKeepsMovingIsListed(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		root := moving(t)
		at, names := 0, []string{"dir", "one", "two", "three"}
		move := func() {
			must(t, os.Rename(filepath.Join(root, names[at]), filepath.Join(root, names[at+1])))
			at++
		}

		// The first scan plans the first two shards, and the second scan the third.
		s := &moments{end: func(n int) {
			if n == 2 || n == 3 {
				move()
			}
		}}

		f := newFixture(t, db, source.Local(), root, withMoments(s))
		result, err := f.run()
		must(t, err)
		equal(t, "state", result.Upload.State, sqlrepo.Incomplete)
		equal(t, "failed", result.Failed, 1)
		left := f.leftOut()
		if reason := left["two"]; len(left) != 1 || !strings.Contains(reason, "came while") {
			t.Errorf("left out: %v", left)
		}

		// The next run finds a source that no longer moves.
		equal(t, "root of the next run", f.complete().RootCID.String(), rootOf(t, root))
	})
}

// TestAFileThatIsAPipeNowIsListed checks that such a file keeps the upload incomplete, unless it is skipped.
func TestAFileThatIsAPipeNowIsListed(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		for _, skip := range []bool{false, true} {
			clearAll(t, db)
			root := moving(t)

			s := &moments{begin: func(n int) {
				if path := filepath.Join(root, "z"); n == 1 {
					must(t, errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)))
				}
			}}
			f := newFixture(t, db, source.Local(), root, withMoments(s))
			f.job.SkipFailed = skip
			result, err := f.run()
			must(t, err)
			equal(t, "complete", result.Upload.State == sqlrepo.Complete, skip)

			if got := f.leftOut(); !maps.Equal(got, map[string]string{"z": "3: is now a named pipe"}) {
				t.Errorf("left out: %v", got)
			}

			checktest.Sound(t, f.repo, f.dir)
		}
	})
}

// clearAll makes a database as empty as a new one.
func clearAll(tb testing.TB, db *dialect.DB) {
	tb.Helper()
	for _, table := range []string{
		"roots", "nodes", "segments", "shards", "indexes", "entries", "uploads", "sources", "spaces",
	} {
		if _, err := db.Writer.ExecContext(context.Background(), "DELETE FROM "+table); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := db.Writer.ExecContext(context.Background(), "UPDATE counters SET value = 0"); err != nil {
		tb.Fatal(err)
	}
}
