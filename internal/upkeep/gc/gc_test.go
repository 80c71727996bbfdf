package gc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// TestWhatOthersNeedStays removes uploads that share entries and blocks with others, of the same source and of
// another one.
func TestWhatOthersNeedStays(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 2)
		f.write(0, "large", 9<<20+5)
		f.write(0, "small", 100)
		first := f.prepare(0)

		f.write(0, "new", 3<<20)
		second := f.prepare(0)
		content, err := os.ReadFile(filepath.Join(string(f.jobs[0].Source.Path), "large"))
		must(t, err)
		f.write(1, "copy", 0, content...)
		copied := f.prepare(1)

		if sum := f.rm(first.ID); sum.KeptEntries != 2 || sum.Entries != 1 || sum.Uploads != 0 || sum.KeptShards == 0 {
			t.Errorf("%+v", sum)
		}
		f.sound()
		if sum := f.rm(second.ID); sum.Files == 0 || sum.KeptEntries != 0 || sum.KeptShards == 0 {
			t.Errorf("%+v", sum)
		}

		f.sound()
		f.remove(0, "new")
		again := f.prepare(0)
		if again.RootCID != first.RootCID {
			t.Errorf("root %s, want %s", again.RootCID, first.RootCID)
		}

		f.sound()
		f.rm(copied.ID)
		f.sound()
		if sum := f.rm(again.ID); sum.KeptShards != 0 || sum.Uploads == 0 {
			t.Errorf("%+v", sum)
		}
		f.sound()
		f.empty()
	})
}

func (f *fixture) remaining() []sqlrepo.Upload {
	f.tb.Helper()
	view, err := removal.New(f.repo).ViewSpace(context.Background(), f.space.ID)
	must(f.tb, err)
	return view.Uploads
}

// step changes a source and prepares it, or removes an upload.
func (f *fixture) step(random *rand.Rand) {
	f.tb.Helper()
	if uploads := f.remaining(); len(uploads) > 0 && random.IntN(3) == 0 {
		f.rm(uploads[random.IntN(len(uploads))].ID)
		return
	}

	job := random.IntN(len(f.jobs))
	for range 1 + random.IntN(3) {
		path := fmt.Sprintf("%d/%d", random.IntN(2), random.IntN(4))
		switch random.IntN(4) {
		case 0:
			f.remove(job, path)
		case 1: // the same few contents come repeatedly
			f.write(job, path, 0, []byte(fmt.Sprint("content ", random.IntN(3)))...)
		case 2:
			content := make([]byte, 2<<20+1)
			content[0] = byte(random.IntN(3))
			f.write(job, path, 0, content...)
		default:
			f.write(job, path, random.IntN(3<<20))
		}
	}
	f.write(job, "always", 0, 1)
	f.prepare(job)
}

// TestAnInterruptedRemovalGoesOn interrupts a removal after each transaction in turn.
func TestAnInterruptedRemovalGoesOn(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 2)
		for i := range 700 {
			f.write(0, fmt.Sprint(i), 10)
			f.write(1, fmt.Sprint(i), 10)
		}

		f.write(0, "large", 6<<20)
		first := f.prepare(0)
		f.prepare(1)
		must(t, removal.New(f.repo).RemoveUpload(t.Context(), first.ID))

		interrupted := 0
		for ; ; interrupted++ {
			ctx, cancel := context.WithCancel(t.Context())
			collector := f.collector()
			collector.Deleted = func(rows int64) {
				if rows > 2001 {
					t.Errorf("%d rows in one transaction", rows)
				}
				cancel()
			}

			_, err := collector.Collect(ctx, f.space.ID)
			ended := ctx.Err() == nil
			cancel()
			if ended {
				must(t, err)
				break
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}

		if interrupted < 5 {
			t.Errorf("interrupted %d times", interrupted)
		}
		f.sound()
		if left := f.remaining(); len(left) != 1 {
			t.Errorf("%d uploads remain", len(left))
		}

		removed, err := removal.New(f.repo).RemovedUploads(t.Context(), f.space.ID)
		must(t, err)
		if len(removed) != 0 {
			t.Errorf("%d removed uploads are left", len(removed))
		}
	})
}

// TestTheSameContentIsPreparedWhileItIsRemoved lets a preparation and a removal race for the same shards and files.
func TestTheSameContentIsPreparedWhileItIsRemoved(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 2)
		for job := range 2 {
			for i := range 6 {
				content := make([]byte, 1<<20)
				content[0] = byte(i)
				f.write(job, fmt.Sprint(i), 0, content...)
			}
		}

		last := f.prepare(0)
		for round := range 8 {
			must(t, removal.New(f.repo).RemoveUpload(t.Context(), last.ID))
			prepared := make(chan sqlrepo.Upload, 1)
			go func() {
				defer close(prepared)
				prepared <- f.prepare((round + 1) % 2)
			}()

			f.collectAll()
			last = <-prepared
			f.collectAll()
			f.sound()
		}
		f.rm(last.ID)
		f.empty()
	})
}

// collectAll collects until no upload is being linked.
func (f *fixture) collectAll() {
	f.tb.Helper()
	for {
		_, err := f.collector().Collect(context.Background(), f.space.ID)
		if !errors.Is(err, sqlrepo.ErrAtWork) {
			must(f.tb, err)
			return
		}
	}
}

// TestUnfinishedUploadsKeepWhatTheyRelyOn removes the upload whose files and blocks an unfinished one has left out.
func TestUnfinishedUploadsKeepWhatTheyRelyOn(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 2)
		f.write(0, "large", 9<<20)
		first := f.prepare(0)
		content, err := os.ReadFile(filepath.Join(string(f.jobs[0].Source.Path), "large"))
		must(t, err)

		f.write(0, "new", 3<<20)
		f.write(0, "unreadable", 10)
		f.write(1, "copy", 0, content...)
		f.write(1, "unreadable", 10)
		for job := range 2 {
			f.interrupt(job)
		}

		if sum := f.rm(first.ID); sum.KeptShards < 3 {
			t.Errorf("%+v", sum)
		}
		for job := range 2 {
			f.remove(job, "unreadable")
			f.prepare(job)
		}

		f.sound()
		for _, upload := range f.remaining() {
			f.rm(upload.ID)
		}
		f.empty()
	})
}

// TestStraysDamagedAndTemporaryFiles counts leftover files first, and removes them only if asked to.
func TestStraysDamagedAndTemporaryFiles(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 1), t.Context()
		f.write(0, "file", 100)
		f.prepare(0)
		stray := shard.Name([32]byte{1, 2, 3})
		must(t, os.WriteFile(filepath.Join(f.dir, stray), make([]byte, 77), 0o600))
		must(t, os.WriteFile(filepath.Join(f.dir, "notes.txt"), nil, 0o600))
		must(t, os.WriteFile(filepath.Join(f.dir, "notes.txt.damaged"), nil, 0o600))

		damaged := f.setAside(shard.Name([32]byte{4}), 55)
		_, err := f.store.Create(ctx, "z6MkTest-1-12345")
		must(t, err)
		for _, remove := range []bool{false, true} {
			found, err := f.collector().Strays(ctx, f.store, remove)
			want := gc.Strays{Unnamed: gc.Files{Files: 1, Bytes: 77}, Damaged: gc.Files{Files: 1, Bytes: 55}}
			if err != nil || found != want {
				t.Errorf("%+v, %v", found, err)
			}

			temporary, err := f.collector().Temporary(ctx, f.store, remove)
			if err != nil || temporary != 1 {
				t.Errorf("%d, %v", temporary, err)
			}

			for _, name := range []string{stray, damaged} {
				if _, err := os.Stat(filepath.Join(f.dir, name)); os.IsNotExist(err) != remove {
					t.Errorf("remove: %t, %v", remove, err)
				}
			}
		}
		must(t, os.Remove(filepath.Join(f.dir, "notes.txt")))
		must(t, os.Remove(filepath.Join(f.dir, "notes.txt.damaged")))
		f.sound()
	})
}

// setAside puts a file into the store and sets it aside.
func (f *fixture) setAside(name string, size int) string {
	f.tb.Helper()
	must(f.tb, os.WriteFile(filepath.Join(f.dir, name), make([]byte, size), 0o600))
	trashed, err := f.store.Trash(context.Background(), "me", name)
	must(f.tb, err)
	aside, err := f.store.SetAside(context.Background(), trashed)
	must(f.tb, err)
	return aside
}
