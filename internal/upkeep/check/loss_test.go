package check_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// loss is a store with a replica, one of which is lost in the middle of an operation, at each step.
type loss struct {
	*fixture
	sites [2]site
	// begin brings about what the operation is to work on.
	begin func(k uint64)
	// operate is the operation, with the store and its replica as they are to be seen.
	operate func(first, second store.Store) error
	// end fails the test unless the operation has done its work. It may be nil.
	end func(when string)
	// expected holds the codes of problems that the operation leaves to end.
	expected []string
}

func newLoss(t *testing.T, db *dialect.DB) *loss {
	t.Helper()
	sites := [2]site{directorySite(t), directorySite(t)}
	f := emptyFixture(t, db, sites[0])
	for i := range 3 {
		f.write(fmt.Sprint(i), uint64(i), 100)
		f.run()
	}
	f.replica(sites[1])
	return &loss{fixture: f, sites: sites}
}

// atEachStep carries the operation out once for each of its steps, with a store that is lost there, and then again with
// the store back. No step may cost a good file that a row needs, in either store.
func (l *loss) atEachStep() {
	l.Helper()
	storetest.EachLoss(l, l.sites[0].Store, l.sites[1].Store, l.atStep)
}

func (l *loss) atStep(when storetest.Loss) {
	l.Helper()
	l.begin(uint64(when.Lost.At))
	before := l.good()

	err := l.operate(when.Store, when.Replica)
	if err != nil && !errors.Is(err, store.ErrUnusable) {
		l.Fatalf("%s: %v", when, err)
	}
	after := l.good()
	for file := range before {
		if l.needed(file.name) && !after[file] {
			l.Errorf("%s: %s is not good any longer in the store %d", when, file.name, file.store)
		}
	}

	if err := l.operate(l.sites[0], l.sites[1]); err != nil {
		l.Fatalf("%s, then back: %v", when, err)
	}
	l.soundIn(l.everywhere(), when.String(), l.expected...)
	l.end(when.String())
	if l.Failed() {
		l.FailNow()
	}
}

// goodFile is a file in one of the two stores.
type goodFile struct {
	store int
	name  string
}

// good returns the files whose bytes match their names. A file in the trash is there, since it can be read.
func (l *loss) good() map[goodFile]bool {
	l.Helper()
	good := map[goodFile]bool{}
	for name := range l.names() {
		digest, _ := trash.ParseName(name)
		for i, s := range l.sites {
			if got, err := store.Digest(l.Context(), s, name); err == nil && got == digest {
				good[goodFile{i, name}] = true
			}
		}
	}
	return good
}

// needed reports whether a row needs a file.
func (l *loss) needed(name string) bool {
	l.Helper()
	_, ok := l.names()[name]
	return ok
}

// names returns the names of the files that rows need.
func (l *loss) names() map[string]struct{} {
	l.Helper()
	names, err := (&check.Checker{Repo: l.repo}).FilesNamed(l.Context())
	must(l, err)
	return names
}

// whole fails the test unless both stores have all that rows need, and nothing else.
func (l *loss) whole(when string) {
	l.Helper()
	want := slices.Sorted(maps.Keys(l.names()))
	for _, s := range l.sites {
		if got := slices.Sorted(maps.Keys(s.named(l.T))); !slices.Equal(got, want) {
			l.Errorf("%s: %s has %q instead of %q", when, s.URL(), got, want)
		}
		s.clear(l.T)
	}
	l.copied(len(want))
}

func TestAStoreIsLostDuringSync(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newLoss(t, db)
		l.operate, l.end = l.sync, l.whole

		// The replica has lost everything but one file, which is damaged.
		l.begin = func(k uint64) {
			random := rand.New(rand.NewPCG(k, 0))
			var gone []sqlrepo.Digest
			names := slices.Sorted(maps.Keys(l.names()))
			for _, name := range names {
				digest, _ := trash.ParseName(name)
				gone = append(gone, digest)
				must(t, os.Remove(filepath.Join(l.sites[1].dir, name)))
			}
			must(t, os.WriteFile(filepath.Join(l.sites[1].dir, names[random.IntN(len(names))]), []byte("damaged"), 0o600))

			replicas, err := l.repo.Replicas(t.Context())
			must(t, err)
			must(t, l.repo.ForgetCopies(t.Context(), replicas[0].Store, gone))
		}
		l.atEachStep()
	})
}

func TestAStoreIsLostDuringRemoval(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newLoss(t, db)

		// What a removal indexes again is sent by the next sync.
		l.expected = []string{check.CodeReplicaLacks}
		replicas, err := l.repo.Replicas(t.Context())
		must(t, err)

		// The last upload but one is removed. The last one needs some of its shards.
		round := 0
		l.begin = func(uint64) {
			round++
			l.write("changing", uint64(1000+round), 100)
			l.run()
			must(t, l.sync(l.sites[0], l.sites[1]))
			removed := l.uploads[len(l.uploads)-2]
			must(t, l.collector(l.sites[0], nil).Mark(t.Context(), removed))
		}
		l.operate = func(first, second store.Store) error {
			collector := l.collector(first, []index.Replica{{Identity: replicas[0].Store, Files: second}})
			if _, err := collector.Collect(t.Context(), l.job.Space.ID); err != nil {
				return err
			}
			for _, files := range []store.Store{first, second} {
				if _, err := collector.Temporary(t.Context(), files, true); err != nil {
					return err
				}
			}
			return l.repo.PruneCopies(t.Context())
		}
		l.end = func(when string) {
			must(t, l.sync(l.sites[0], l.sites[1]))
			l.whole(when)
		}
		l.atEachStep()
	})
}

func (l *loss) collector(files store.Store, replicas []index.Replica) *gc.Collector {
	return &gc.Collector{
		Repo: l.repo, TempDir: l.job.TempDir, Log: l.job.Log,
		Locate:   func(context.Context, sqlrepo.Upload) (store.Store, error) { return files, nil },
		Replicas: func(context.Context, sqlrepo.Upload) ([]index.Replica, error) { return replicas, nil },
	}
}

func TestAStoreIsLostDuringRepair(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newLoss(t, db)
		must(t, os.RemoveAll(l.root))
		l.end = l.whole

		// A repair that may give up what no store has may not do so for a store that is lost.
		giveUp := false
		l.begin = func(k uint64) {
			random := rand.New(rand.NewPCG(k, 0))
			damageEither(t, random, l.sites[0], l.sites[1])
			giveUp = random.IntN(2) == 0
		}

		l.operate = func(first, second store.Store) error {
			checker := l.everywhere()
			for i, place := range checker.Stores {
				switch place.Files.URL() {
				case first.URL():
					checker.Stores[i].Files = first
				case second.URL():
					checker.Stores[i].Files = second
				}
			}
			_, err := l.repairIn(checker, giveUp)
			return err
		}
		l.atEachStep()
	})
}
