package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestVerifySource prepares a tree of 40 files, changes it in different ways, and checks whether it is recognized.
func TestVerifySource(t *testing.T) {
	tree := sourcetest.Tree{Dirs: 4, Files: 10, Size: 3, Seed: 1}
	for _, c := range []struct {
		name   string
		change func(*sourcetest.Synthetic)
		seen   bool
	}{
		{"unchanged", func(*sourcetest.Synthetic) {}, true},
		{"one file is left", func(s *sourcetest.Synthetic) { changeFiles(s, tree, 31) }, true},
		{"the first 32 files changed", func(s *sourcetest.Synthetic) { changeFiles(s, tree, 32) }, false},
		{"the files are gone", func(s *sourcetest.Synthetic) { removeFiles(s, tree) }, false},
		{"the root is gone", func(s *sourcetest.Synthetic) { s.Remove(sourcetest.Root) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := sourcetest.NewSynthetic(tree)
			f := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root)
			upload := f.complete()

			c.change(tree)
			err := pipeline.VerifySource(context.Background(), f.repo, rootChanged{tree}, sourcetest.Root, upload)
			requireSeen(t, err, c.seen)
		})
	}
}

func changeFiles(s *sourcetest.Synthetic, tree sourcetest.Tree, n int) {
	for i := range n {
		s.Change(s.FilePath(i/tree.Files, i%tree.Files), 0)
	}
}

func removeFiles(s *sourcetest.Synthetic, tree sourcetest.Tree) {
	for i := range tree.Dirs * tree.Files {
		s.Remove(s.FilePath(i/tree.Files, i%tree.Files))
	}
}

// rootChanged has another root directory than the scanned one, so only the files can prove anything.
type rootChanged struct{ *sourcetest.Synthetic }

func (r rootChanged) Stat(path string) (os.FileInfo, error) {
	info, err := r.Synthetic.Stat(path)
	if err == nil && path == sourcetest.Root {
		return os.Stat(os.TempDir())
	}
	return info, err
}

func requireSeen(t *testing.T, err error, seen bool) {
	t.Helper()
	if seen && err != nil || !seen && !errors.Is(err, source.ErrAbsent) {
		t.Errorf("seen is to be %t: %v", seen, err)
	}
}

// TestVerifySourceBeforeItsScan checks that such a source only has to hold something.
func TestVerifySourceBeforeItsScan(t *testing.T) {
	repo := sqlrepo.New(enginetest.Engines()[0].Open(t))
	file := filepath.Join(tree(t, map[string]string{"a": ""}), "a")
	for root, seen := range map[string]bool{
		tree(t, map[string]string{"a": ""}): true, tree(t, nil): false, file: true, filepath.Join(t.TempDir(), "none"): false,
	} {
		err := pipeline.VerifySource(context.Background(), repo, source.Local(), root, sqlrepo.Upload{ID: 1})
		requireSeen(t, err, seen)
	}
}

// TestVerifySourceThatIsEmpty checks that an empty source is recognized by its root alone.
func TestVerifySourceThatIsEmpty(t *testing.T) {
	root := tree(t, nil)
	f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
	upload := f.complete()
	requireSeen(t, pipeline.VerifySource(context.Background(), f.repo, source.Local(), root, upload), true)
	requireSeen(t, pipeline.VerifySource(context.Background(), f.repo, source.Local(), tree(t, nil), upload), false)
}

// TestARovingWorkerContinues checks that the worker completes the uploads that it sees, tidies their store, and says
// which upload it does not see.
func TestARovingWorkerContinues(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			ctx := context.Background()
			f := newFixture(t, engine.Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
			seen, err := f.repo.OpenUpload(ctx, f.job.Source.ID, f.job.Fresh)
			must(t, err)

			other, err := f.repo.AddSource(ctx, sqlrepo.Source{Space: f.job.Space.ID, Name: "other", Path: []byte("/other")})
			must(t, err)
			hidden, err := f.repo.OpenUpload(ctx, other.ID, f.job.Fresh)
			must(t, err)

			// A worker that died has left a temporary file.
			left := filepath.Join(f.dir, ".guppy-z6MkTest-9-9-1.tmp")
			must(t, os.WriteFile(left, nil, 0o600))

			err = f.rove(ctx, func(upload sqlrepo.OpenUpload) error {
				if upload.ID == hidden.Upload.ID {
					return fmt.Errorf("%w: not here", store.ErrAbsent)
				}
				return nil
			})

			if !errors.Is(err, store.ErrAbsent) {
				t.Errorf("the worker returned %v", err)
			}
			if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the store is not tidied: %v", err)
			}

			for id, want := range map[int64]sqlrepo.UploadState{
				seen.Upload.ID: sqlrepo.Complete, hidden.Upload.ID: sqlrepo.Scanning,
			} {
				upload, err := f.repo.Upload(ctx, id)
				must(t, err)
				equal(t, fmt.Sprintf("state of upload %d", id), upload.State, want)
			}
		})
	}
}

// rove runs a worker on all uploads. It sees the uploads for which look returns no error.
func (f *fixture) rove(ctx context.Context, look func(sqlrepo.OpenUpload) error) error {
	access := &pipeline.Access{Space: f.job.Space, Store: f.job.Store, FS: f.job.FS, Root: string(f.job.Source.Path)}
	f.job.Progress = &progress.Counters{}
	worker := pipeline.Worker{
		Repo: f.repo, Roving: true, Workers: 2, ReadAhead: 8, Limits: f.job.Limits, TempDir: f.job.TempDir,
		Locate: func(_ context.Context, upload sqlrepo.OpenUpload) (*pipeline.Access, error) {
			return access, look(upload)
		},
		Progress: f.job.Progress, Log: f.job.Log,
	}
	return worker.Run(ctx)
}
