package gc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// lateStore calls before ahead of each step of a removal. If before fails, the step is not made: this simulates a
// process that is killed.
type lateStore struct {
	store.Store
	before func(step string) error
}

func (l *lateStore) Trash(ctx context.Context, owner, name string) (store.Trashed, error) {
	if err := l.before("trash"); err != nil {
		return store.Trashed{}, err
	}
	return l.Store.Trash(ctx, owner, name)
}

func (l *lateStore) Delete(ctx context.Context, blob store.Trashed) error {
	if err := l.before("delete"); err != nil {
		return err
	}
	return l.Store.Delete(ctx, blob)
}

func (l *lateStore) Restore(ctx context.Context, blob store.Trashed) error {
	if err := l.before("restore"); err != nil {
		return err
	}
	return l.Store.Restore(ctx, blob)
}

// late returns a collector whose store calls before ahead of the first step of a kind.
func (f *fixture) late(step string, before func() error) *gc.Collector {
	collector, done := f.collector(), false
	files := &lateStore{f.store, func(now string) error {
		if now != step || done {
			return nil
		}
		done = true
		return before()
	}}
	collector.Locate = func(context.Context, sqlrepo.Upload) (store.Store, error) { return files, nil }
	return collector
}

// settled fails the test if removals have left anything in the store or the repository, except the latest upload.
func (f *fixture) settled() {
	f.tb.Helper()
	_, err := f.collector().Collect(context.Background(), f.space.ID)
	must(f.tb, err)
	_, err = f.collector().Temporary(context.Background(), f.store, true)
	must(f.tb, err)
	f.sound()
	if _, err := os.Stat(filepath.Join(f.dir, ".guppy-trash")); !os.IsNotExist(err) {
		f.tb.Errorf("the trash is there still: %v", err)
	}
}

// TestALateRemovalTakesNothing prepares the same content again before each step of a removal, as if the step hung
// for all of that time. The upload is complete, and stays complete.
func TestALateRemovalTakesNothing(t *testing.T) {
	for _, step := range []string{"trash", "delete"} {
		t.Run(step, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				f, ctx := newFixture(t, db, 1), t.Context()
				f.write(0, "file", 2<<20)
				first := f.prepare(0)
				must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))

				late := f.late(step, func() error { f.prepare(0); return nil })
				if _, err := late.Collect(ctx, f.space.ID); err != nil {
					t.Error(err)
				}
				f.sound()
				f.settled()
			})
		})
	}
}

// TestAKilledRemovalTakesNothing ends a removal before each of its steps: once with nothing afterwards, and once
// after the same content was prepared again.
func TestAKilledRemovalTakesNothing(t *testing.T) {
	killed := errors.New("killed")
	for _, step := range []string{"trash", "delete", "restore"} {
		t.Run(step, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				f, ctx := newFixture(t, db, 1), t.Context()
				f.write(0, "file", 2<<20)
				first := f.prepare(0)
				must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))

				end := f.late(step, func() error { return killed })
				if step == "restore" { // only a late step leaves a file to restore
					files := &lateStore{f.store, func(now string) error {
						switch now {
						case "trash":
							if len(f.complete()) == 0 {
								f.prepare(0)
							}
						case "restore":
							return killed
						}
						return nil
					}}
					end.Locate = func(context.Context, sqlrepo.Upload) (store.Store, error) { return files, nil }
				}

				if _, err := end.Collect(ctx, f.space.ID); !errors.Is(err, killed) {
					t.Fatalf("the removal was not killed: %v", err)
				}
				f.read() // files in the trash are read as well
				f.prepare(0)
				f.read()
				f.settled()
			})
		})
	}
}

// complete returns the complete uploads.
func (f *fixture) complete() (complete []sqlrepo.Upload) {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	for _, upload := range uploads {
		if upload.State == sqlrepo.Complete {
			complete = append(complete, upload)
		}
	}
	return complete
}

// read fails the test unless the file of each shard of a complete upload is there.
func (f *fixture) read() {
	f.tb.Helper()
	for _, upload := range f.complete() {
		for row, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
			must(f.tb, err)
			if len(row.Digest) == 0 {
				continue
			}

			name := f.nameOf(row)
			if size, err := f.store.Size(context.Background(), name); err != nil || size != row.Size {
				f.tb.Errorf("%s has %d bytes: %v", name, size, err)
			}
		}
	}
}

func (f *fixture) nameOf(row sqlrepo.Shard) string { return shard.Name([32]byte(row.Digest)) }
