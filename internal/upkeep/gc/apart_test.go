package gc_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// apart is a fixture with the same content in the stores of two uploads, and with a replica of the second one.
type apart struct {
	*fixture
	stores  map[string]*store.Directory
	dirs    map[string]string
	uploads []sqlrepo.Upload
	// away is the identity of a store that can't be opened.
	away string
}

func newApart(t *testing.T, db *dialect.DB) *apart {
	t.Helper()
	f := &apart{fixture: newFixture(t, db, 2), stores: map[string]*store.Directory{}, dirs: map[string]string{}}
	f.write(0, "large", 5<<20)
	content, err := os.ReadFile(filepath.Join(string(f.jobs[0].Source.Path), "large"))
	must(t, err)
	f.write(1, "large", 0, content...)

	for job := range f.jobs {
		files := f.add(fmt.Sprint(job))
		f.jobs[job].Store = files
		f.uploads = append(f.uploads, f.prepare(job))
	}

	replica := f.add("replica")
	identity, err := replica.Identify(t.Context())
	must(t, err)
	_, err = f.repo.AddStore(t.Context(), sqlrepo.Store{Identity: identity, Name: "replica"})
	must(t, err)
	must(t, f.repo.SetReplica(t.Context(), identity, f.uploads[1].Store))
	for _, name := range f.in(f.uploads[1].Store) {
		copied, err := os.ReadFile(filepath.Join(f.dirs[f.uploads[1].Store], name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(f.dirs[identity], name), copied, 0o600))
	}
	return f
}

func (f *apart) add(name string) *store.Directory {
	f.tb.Helper()
	dir := filepath.Join(f.tb.TempDir(), name)
	files, err := store.OpenDirectory(dir)
	must(f.tb, err)
	identity, err := files.Identify(context.Background())
	must(f.tb, err)
	f.stores[identity], f.dirs[identity] = files, dir
	return files
}

// in returns the names of the shards and indexes in a store.
func (f *apart) in(identity string) (names []string) {
	f.tb.Helper()
	for file, err := range f.stores[identity].Committed(context.Background()) {
		must(f.tb, err)
		names = append(names, file.Name)
	}
	return names
}

func (f *apart) open(_ context.Context, identity string) (store.Store, error) {
	if identity == f.away {
		return nil, store.ErrAbsent
	}
	return f.stores[identity], nil
}

func (f *apart) apartCollector() *gc.Collector {
	collector := f.collector()
	collector.Locate = func(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
		return f.open(ctx, upload.Store)
	}
	collector.Replicas = func(ctx context.Context, upload sqlrepo.Upload) (open []index.Replica, err error) {
		replicas, err := f.repo.ReplicasOf(ctx, upload.Store)
		for _, identity := range replicas {
			open = append(open, index.Replica{Identity: identity, Files: f.stores[identity]})
		}
		return open, err
	}
	collector.Others = &trash.Others{Open: f.open}
	return collector
}

// TestAStoreKeepsWhatItsOwnUploadsNeed removes one of two uploads with the same files in different stores, while the
// other store has them, has one of them damaged, or is away. What stays is a stray until the other store has it.
func TestAStoreKeepsWhatItsOwnUploadsNeed(t *testing.T) {
	whole := func(*apart) (int, func()) { return 0, func() {} }
	damaged := func(f *apart) (int, func()) {
		first := f.uploads[0].Store
		path := filepath.Join(f.dirs[first], f.in(first)[0])
		good, err := os.ReadFile(path)
		must(f.tb, err)
		must(f.tb, os.WriteFile(path, append([]byte{'x'}, good[1:]...), 0o600))
		return 1, func() { must(f.tb, os.WriteFile(path, good, 0o600)) }
	}
	away := func(f *apart) (int, func()) {
		f.away = f.uploads[0].Store
		return len(f.in(f.away)), func() { f.away = "" }
	}

	for what, harm := range map[string]func(*apart) (stay int, undo func()){
		"whole": whole, "damaged": damaged, "away": away,
	} {
		t.Run(what, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				f := newApart(t, db)
				stay, undo := harm(f)
				f.removeSecond(stay)

				f.strays(stay, false)
				f.strays(0, true) // nothing goes as long as the other store does not have it
				undo()
				f.strays(stay, true)
				f.strays(0, false)
			})
		})
	}
}

// removeSecond removes the second upload. Some files stay in its store and in the replica.
func (f *apart) removeSecond(stay int) {
	f.tb.Helper()
	must(f.tb, removal.New(f.repo).RemoveUpload(context.Background(), f.uploads[1].ID))
	collector := f.apartCollector()
	sum, err := collector.Collect(context.Background(), f.space.ID)
	must(f.tb, err)
	if sum.Uploads != 1 {
		f.tb.Errorf("%+v", sum)
	}

	for identity := range f.stores {
		left := f.in(identity)
		if identity != f.uploads[0].Store && len(left) != stay {
			f.tb.Errorf("left: %q, want %d files", left, stay)
		}
	}
	kept := collector.Others.Kept()
	if (len(kept) == 2) != (stay > 0) || stay > 0 && kept[1].Files != int64(stay) {
		f.tb.Errorf("kept: %+v", kept)
	}
}

// strays counts or removes the strays in the second store and in the replica.
func (f *apart) strays(want int, remove bool) {
	f.tb.Helper()
	for identity, files := range f.stores {
		if identity == f.uploads[0].Store {
			continue
		}
		found, err := f.apartCollector().Strays(context.Background(), files, remove)
		must(f.tb, err)
		if found.Elsewhere.Files != int64(want) || found.Unnamed.Files > 0 {
			f.tb.Errorf("%+v, want %d with remove: %t", found, want, remove)
		}
	}
}
