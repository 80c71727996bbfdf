package check_test

import (
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
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
)

// copyStore makes a second store known that has all files of the fixture's store, and returns its directory.
func (f *fixture) copyStore() (directory string) {
	f.Helper()
	directory = filepath.Join(f.TempDir(), "second")
	second, err := store.OpenDirectory(directory)
	must(f, err)
	_, _, err = known.Register(f.Context(), f.repo, second, "second")
	must(f, err)

	for blob, err := range f.job.Store.Committed(f.Context()) {
		must(f, err)
		digest, ok := trash.ParseName(blob.Name)
		if !ok {
			f.Fatalf("%s is in the store", blob.Name)
		}
		must(f, delivery.Copy(f.Context(), f.job.Store, second, "test", blob.Name, digest, func(int64) {}))
	}
	return directory
}

// repairAll is like repair but with all stores of the repository.
func (f *fixture) repairAll() (did []string) {
	f.Helper()
	repairer := f.repairer(func(change string) error {
		did = append(did, change)
		return nil
	})
	repairer.GiveUp = false
	var err error
	repairer.Stores, err = check.FindPlaces(f.Context(), &known.Stores{Repo: f.repo})
	must(f, err)
	if err := repairer.Run(f.Context()); err != nil {
		f.Fatalf("repair: %v, after %q", err, did)
	}
	return did
}

// shardsIn returns the contents of the shards in a directory, by name.
func shardsIn(t *testing.T, directory string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*.car"))
	must(t, err)
	contents := map[string][]byte{}
	for _, path := range paths {
		contents[filepath.Base(path)], err = os.ReadFile(path)
		must(t, err)
	}
	return contents
}

// damageAtRandom damages one file. One of the damages gives it the content of another one.
func damageAtRandom(t *testing.T, random *rand.Rand, path string, other []byte) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	switch random.IntN(4) {
	case 0:
		must(t, os.Remove(path))
		return "removed"
	case 1:
		must(t, os.WriteFile(path, content[:random.IntN(len(content))], 0o600))
		return "cut"
	case 2:
		content[random.IntN(len(content))] ^= 1 << random.IntN(8)
		must(t, os.WriteFile(path, content, 0o600))
		return "flipped"
	}

	must(t, os.WriteFile(path, other, 0o600))
	return "replaced by another"
}

// TestASecondStoreHealsTheFirst damages files in both stores at random, so that each shard is good in one of them. The
// source is gone. The repair ends sound, with the same roots, and gives nothing up.
func TestASecondStoreHealsTheFirst(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		want, second := f.roots(), f.copyStore()
		must(t, os.RemoveAll(f.root))

		for seed := range uint64(healSeeds) {
			random := rand.New(rand.NewPCG(seed, 0))
			whole, done := shardsIn(t, second), []string(nil)
			names := slices.Sorted(maps.Keys(whole))
			for i, name := range names {
				directory := []string{f.dir, second}[random.IntN(2)]
				if random.IntN(3) == 0 {
					continue
				}
				path, other := filepath.Join(directory, name), whole[names[(i+1)%len(names)]]
				done = append(done, fmt.Sprintf("%s %s", path, damageAtRandom(t, random, path, other)))
			}

			did := f.repairAll()
			for _, change := range did {
				if strings.Contains(change, "given up") || strings.Contains(change, "intact") {
					t.Errorf("seed %d: %s", seed, change)
				}
			}
			f.sound(fmt.Sprintf("seed %d, after %q, which repaired %q", seed, did, done))
			if got := f.roots(); !slices.Equal(got, want) {
				t.Fatalf("seed %d: roots %q, want %q", seed, got, want)
			}

			// The second store is as it was, for the next seed, and nothing set aside is left in the first.
			for name, content := range whole {
				must(t, os.WriteFile(filepath.Join(second, name), content, 0o600))
			}
			aside, err := filepath.Glob(filepath.Join(f.dir, "*"+store.Aside("")))
			must(t, err)
			for _, path := range aside {
				must(t, os.Remove(path))
			}
		}
	})
}
