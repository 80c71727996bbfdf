package check_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/store/s3test"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// envHealSeeds names the variable with the number of random damages to each pair of stores.
const envHealSeeds = "GUPPY_TEST_HEAL_SEEDS"

// site is a store, and the directory where its files lie: its own or that of the server.
type site struct {
	store.Store
	dir string
}

func directorySite(t *testing.T) site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	files, err := store.OpenDirectory(dir)
	must(t, err)
	return site{files, dir}
}

func bucketSite(t *testing.T) site {
	t.Helper()
	server := s3test.StartAlone(t)
	files, err := store.OpenURL(t.Context(), server.URL(s3test.BucketName+"/prefix"), store.Options{TempDir: t.TempDir()})
	must(t, err)
	return site{files, filepath.Join(server.Objects, "prefix")}
}

// named returns the contents of the shards and indexes of a store, by name.
func (s site) named(t *testing.T) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	must(t, err)
	contents := map[string][]byte{}
	for _, entry := range entries {
		if _, ok := trash.ParseName(entry.Name()); !ok {
			continue
		}
		contents[entry.Name()], err = os.ReadFile(filepath.Join(s.dir, entry.Name()))
		must(t, err)
	}
	return contents
}

// damage damages files at random, in all the ways in which one file or two can be.
func (s site) damage(t *testing.T, random *rand.Rand, names []string) (done []string) {
	t.Helper()
	for len(names) > 0 {
		path := filepath.Join(s.dir, names[0])
		content, err := os.ReadFile(path)
		must(t, err)

		what := random.IntN(4)
		switch {
		case what == 0:
			must(t, os.Remove(path))
			done = append(done, "removed "+path)
		case what == 1:
			must(t, os.WriteFile(path, content[:random.IntN(len(content))], 0o600))
			done = append(done, "cut "+path)
		case what == 2 || len(names) == 1:
			content[random.IntN(len(content))] ^= 1 << random.IntN(8)
			must(t, os.WriteFile(path, content, 0o600))
			done = append(done, "flipped a bit of "+path)
		default:
			other := filepath.Join(s.dir, names[1])
			second, err := os.ReadFile(other)
			must(t, errors.Join(err, os.WriteFile(path, second, 0o600), os.WriteFile(other, content, 0o600)))
			done = append(done, "swapped "+path+" and "+other)
			names = names[1:]
		}
		names = names[1:]
	}
	return done
}

// clear removes what a repair has set aside.
func (s site) clear(t *testing.T) {
	t.Helper()
	for blob, err := range s.Committed(t.Context()) {
		must(t, err)
		if _, aside := store.CutAside(blob.Name); aside {
			must(t, s.Remove(t.Context(), blob.Name))
		}
	}
}

// replica makes a store a replica of the fixture's, and copies everything there.
func (f *fixture) replica(to store.Store) {
	f.Helper()
	origin, err := f.job.Store.Marker(f.Context())
	must(f, err)
	must(f, f.repo.SetReplica(f.Context(), f.register(to, "replica"), origin))
	must(f, f.sync(f.job.Store, to))
}

// register makes a store known, and returns its identity.
func (f *fixture) register(files store.Store, name string) string {
	f.Helper()
	row, _, err := known.Register(f.Context(), f.repo, files, name)
	must(f, err)
	return row.Identity
}

// sync brings a replica up to date.
func (f *fixture) sync(from, to store.Store) error {
	f.Helper()
	replicas, err := f.repo.Replicas(f.Context())
	must(f, err)
	syncer := mirror.Syncer{
		Repo: f.repo, Origin: replicas[0].Origin, Replica: replicas[0].Store, From: from, To: to, Workers: 1,
		Failed: func(name string, err error) { f.Errorf("sync %s: %v", name, err) },
		Counts: &mirror.Counts{},
	}
	return syncer.Run(f.Context())
}

// everywhere returns a checker that reads all files in all stores.
func (f *fixture) everywhere() check.Checker {
	f.Helper()
	places, err := check.FindPlaces(f.Context(),
		&known.Stores{Repo: f.repo, Options: store.Options{TempDir: f.TempDir(), Existing: true}}, nil)
	must(f, err)
	return check.Checker{Repo: f.repo, Stores: places, Replicas: true, ReadPercent: 100, TempDir: f.TempDir(),
		Log: f.job.Log}
}

// repairIn is like repair with any stores. It gives up what no store has only if it may.
func (f *fixture) repairIn(checker check.Checker, giveUp bool) (did []string, err error) {
	f.Helper()
	locked, lock, err := check.Lock(f.Context(), f.repo)
	must(f, err)
	defer func() { must(f, lock.Release()) }()

	repairer := check.Repairer{Checker: checker, Link: f.link, GiveUp: giveUp, Did: func(change string) error {
		did = append(did, change)
		return nil
	}}
	return did, repairer.Run(locked)
}

// soundIn fails the test if a check finds problems.
func (f *fixture) soundIn(checker check.Checker, when string, expected ...string) {
	f.Helper()
	problems, err := checktest.Find(f.Context(), checker)
	must(f, err)
	for _, problem := range problems {
		if !problem.Note && !slices.Contains(expected, problem.Code) {
			f.Errorf("%s: %s", when, problem)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}

// TestStoresHealEachOther damages files of a store and of its replica at random, so that each is good in one of them.
// The source is gone. The repair ends sound, with the same roots, gives nothing up, and leaves both stores whole.
func TestStoresHealEachOther(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct {
		name          string
		first, second func(t *testing.T) site
	}{
		{"directories", directorySite, directorySite},
		{"buckets", bucketSite, bucketSite},
		{"bucket and directory", bucketSite, directorySite},
		{"directory and bucket", directorySite, bucketSite},
	} {
		t.Run(pair.name, func(t *testing.T) {
			t.Parallel()
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
				first, second := pair.first(t), pair.second(t)
				f := newFixtureIn(t, db, first)
				f.replica(second)
				must(t, os.RemoveAll(f.root))
				for seed := range storetest.Number(t, envHealSeeds, healSeeds) {
					f.heal(rand.New(rand.NewPCG(seed, 0)), first, second)
				}
			})
		})
	}
}

// damageEither damages files of two stores that have the same ones, so that each is good in one of them.
func damageEither(t *testing.T, random *rand.Rand, first, second site) (done []string) {
	t.Helper()
	var bad [2][]string
	for _, name := range slices.Sorted(maps.Keys(first.named(t))) {
		if random.IntN(3) > 0 {
			i := random.IntN(2)
			bad[i] = append(bad[i], name)
		}
	}

	for i, s := range []site{first, second} {
		random.Shuffle(len(bad[i]), func(j, k int) { bad[i][j], bad[i][k] = bad[i][k], bad[i][j] })
		done = append(done, s.damage(t, random, bad[i])...)
	}
	return done
}

// heal damages two stores and repairs them.
func (f *fixture) heal(random *rand.Rand, first, second site) {
	f.Helper()
	roots, whole := f.roots(), first.named(f.T)
	done := damageEither(f.T, random, first, second)
	did, err := f.repairIn(f.everywhere(), false)
	when := fmt.Sprintf("after %q, which repaired %q", did, done)
	must(f, err)
	for _, change := range did {
		for _, loss := range []string{"given up", "intact", "forgotten", "deleted"} {
			if strings.Contains(change, loss) {
				f.Errorf("%s, %s", change, when)
			}
		}
	}

	f.soundIn(f.everywhere(), when)
	if got := f.roots(); !slices.Equal(got, roots) {
		f.Fatalf("roots %q, want %q, %s", got, roots, when)
	}
	for _, s := range []site{first, second} {
		if !maps.EqualFunc(s.named(f.T), whole, slices.Equal) {
			f.Fatalf("%s is not whole, %s", s.URL(), when)
		}
		s.clear(f.T)
	}
	f.copied(len(whole))
}

// copied fails the test unless the replica is recorded to have a number of copies.
func (f *fixture) copied(want int) {
	f.Helper()
	replicas, err := f.repo.Replicas(f.Context())
	must(f, err)
	var got []sqlrepo.Digest
	for digest, err := range f.repo.Copies(f.Context(), replicas[0].Store) {
		must(f, err)
		got = append(got, digest)
	}
	if len(got) != want || replicas[0].Files != 0 {
		f.Errorf("%d copies are recorded instead of %d, and it lacks %d", len(got), want, replicas[0].Files)
	}
}
