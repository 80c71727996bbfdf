package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// tiny has files of a few bytes, in several shards of tinyShard bytes.
var tiny = sourcetest.Tree{Dirs: 2, Files: 4, Seed: 5, SizeOf: func(_, file int) int64 { return int64(file*1500 + 1) }}

const tinyShard = 8 << 10

// preparingLoss is a space with a replica whose source changes before each upload. Some run of each upload has a store
// that is lost.
type preparingLoss struct {
	*replicated
	t      *testing.T
	source *sourcetest.Synthetic
	// undisturbed prepares the same source in a repository and a store that are never lost.
	undisturbed *fixture
	// files and copies are the store and the replica while nothing is lost.
	files, copies store.Store
}

func newPreparingLoss(t *testing.T, db *dialect.DB) *preparingLoss {
	t.Helper()
	l := &preparingLoss{t: t, source: sourcetest.NewSynthetic(tiny)}
	small := func(f *fixture) {
		f.job.FS, f.job.Fresh.ShardSize = l.source, tinyShard
	}

	l.replicated = newReplicated(t, db)
	l.undisturbed = newFixture(t, enginetest.Engines()[0].Open(t), l.source, sourcetest.Root)
	small(l.fixture)
	small(l.undisturbed)
	l.files, l.copies = l.job.Store, l.replica

	l.ran()
	l.same()
	return l
}

// TestAStoreIsLostDuringPreparing loses the store, or the replica, at each step of preparing a changed source. No step
// costs a good file that a row names, and the next run completes the upload as if nothing had happened.
func TestAStoreIsLostDuringPreparing(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newPreparingLoss(t, db)
		storetest.EachLoss(t, l.files, l.copies, func(loss storetest.Loss) {
			l.atStep(loss)
			if t.Failed() {
				t.Fatal(loss)
			}
		})
	})
}

func (l *preparingLoss) atStep(loss storetest.Loss) {
	l.t.Helper()
	for file := range 3 {
		l.source.Change(l.source.FilePath(int(loss.Lost.At)%2, file+1), 0)
	}
	want, err := l.undisturbed.run()
	must(l.t, err)
	before := l.good()

	// Both stores have more files each time, and a list of them has to stay one step.
	loss.Lost.ListsAtOnce = true
	l.job.Store, l.replica = loss.Store, loss.Replica
	result, err := l.run()
	if err != nil && (loss.OfReplica() || !errors.Is(err, store.ErrUnusable)) {
		l.t.Error(err)
	}
	if err == nil {
		equal(l.t, "state", result.Upload.State, sqlrepo.Complete)
		equal(l.t, "root", result.Upload.RootCID.String(), want.Upload.RootCID.String())
	}
	if loss.OfReplica() {
		l.lacksWhatIsNotThere(loss.Lost.Lost())
	}
	l.nothingIsGone(before)

	// The process of the lost run is this one. Its files in the replica would be left alone for a day.
	l.job.Store, l.replica = l.files, l.copies
	age(l.t, l.dir)
	result, err = l.run()
	must(l.t, err)
	equal(l.t, "state", result.Upload.State, sqlrepo.Complete)
	equal(l.t, "root", result.Upload.RootCID.String(), want.Upload.RootCID.String())
	l.whole()
}

// lacksWhatIsNotThere checks that the replica lacks files if some are not there, and that all are there unless it was
// lost. It may have been lost when it had everything.
func (l *preparingLoss) lacksWhatIsNotThere(lost bool) {
	l.t.Helper()
	there := names(l.t, l.dir)
	missing := slices.ContainsFunc(l.stored(), func(name string) bool { return !slices.Contains(there, name) })
	if lacks := l.lacking() > 0; missing && !lacks || lacks && !lost {
		l.t.Errorf("the replica lacks files: %t; some are not there: %t; it was lost: %t", lacks, missing, lost)
	}
}

// nothingIsGone checks that what was good is good, and that so is what rows have named since.
func (l *preparingLoss) nothingIsGone(before map[goodFile]bool) {
	l.t.Helper()
	after := l.good()
	for file := range before {
		if !after[file] {
			l.t.Errorf("%x is not good any longer in %s", file.digest, file.dir)
		}
	}

	for _, problem := range checktest.Problems(l.t, l.repo, l.fixture.dir) {
		if !problem.Note && problem.Code != check.CodeStoreTemporary { // of what the lost run has begun
			l.t.Errorf("after the loss: not sound: %s", problem)
		}
	}

	for digest, err := range l.repo.Copies(l.t.Context(), l.to.Store) {
		must(l.t, err)
		if !after[goodFile{l.dir, digest}] {
			l.t.Errorf("the copy %x is not good", digest)
		}
	}
}

// whole checks that the store and the replica have what rows name, and nothing else.
func (l *preparingLoss) whole() {
	l.t.Helper()
	checktest.Sound(l.t, l.repo, l.fixture.dir)
	l.same()
	equal(l.t, "files that rows name", len(l.good()), len(names(l.t, l.fixture.dir))+len(names(l.t, l.dir)))
}

// goodFile is a file of the store or the replica that a row names, with the right bytes.
type goodFile struct {
	dir    string
	digest sqlrepo.Digest
}

func (l *preparingLoss) good() map[goodFile]bool {
	l.t.Helper()
	good := map[goodFile]bool{}
	for dir, files := range map[string]store.Store{l.fixture.dir: l.files, l.dir: l.copies} {
		for _, name := range names(l.t, dir) {
			digest, ok := trash.ParseName(name)
			if !ok {
				continue
			}

			named, err := l.repo.Named(l.t.Context(), "", []sqlrepo.Digest{digest})
			must(l.t, err)
			got, err := store.Digest(l.t.Context(), files, name)
			must(l.t, err)
			if got == digest && named[digest].Here {
				good[goodFile{dir, digest}] = true
			}
		}
	}
	return good
}

// age makes all files in a directory two days old.
func age(t *testing.T, dir string) {
	t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	for _, name := range names(t, dir) {
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
}
