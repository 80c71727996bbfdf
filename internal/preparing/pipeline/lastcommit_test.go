//go:build long

package pipeline_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestEveryCommitMayBeTheLast ends a worker right after each of its commits, in all stages of an upload whose
// source changes, and lets another worker go on. The result is the same as that of a single worker.
func TestEveryCommitMayBeTheLast(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			db := engine.Open(t)
			want, shards, commits := dyingAfter(t, engine, db, math.MaxInt64)
			for k := int64(1); k < commits; k++ {
				root, stored, _ := dyingAfter(t, engine, db, k)
				if equal(t, "root", root, want); t.Failed() {
					t.Fatalf("after commit %d of %d", k, commits)
				}
				sameNames(t, "shards", stored, shards)
			}

			if commits < 18 {
				t.Errorf("only %d commits", commits)
			}
		})
	}
}

// dyingAfter prepares a changing source with a worker that dies after a number of commits, and then with another
// worker. It returns the root, the shards, and the number of commits that the first worker made.
func dyingAfter(t *testing.T, engine enginetest.Engine, db *dialect.DB,
	commits int64) (root string, shards []string, made int64) {
	t.Helper()
	clearAll(t, db)
	ctx, path := context.Background(), steady(t)
	changed := false

	// The source changes once, as soon as the first shard is begun.
	s := &moments{begin: func(int) {
		if !changed {
			changed = true
			must(t, errors.Join(
				os.Rename(filepath.Join(path, "dir"), filepath.Join(path, "a/dir")), os.Remove(filepath.Join(path, "b/gone")),
				os.WriteFile(filepath.Join(path, "b/changed"), []byte("as it is now"), 0o600)))
		}
	}}
	f := newFixture(t, db, source.Local(), path, withMoments(s))

	fresh := f.job.Fresh
	row, _, err := known.Register(ctx, f.repo, f.job.Store, "")
	must(t, err)
	fresh.Store = row.Identity
	opened, err := f.repo.OpenUpload(ctx, f.job.Source.ID, fresh)
	must(t, err)

	mortal, life, bury := engine.Mortal(t, db, commits)
	repo := f.repo
	f.repo = sqlrepo.New(mortal, sqlrepo.WithRetryFor(time.Millisecond))
	err = f.rove(ctx, func(sqlrepo.OpenUpload) error { return nil })
	bury()
	if err != nil && !life.Ended() { // a worker whose last commit completes the upload has nothing left to fail in
		t.Fatal(err)
	}

	// Another worker goes on as soon as the leases of the dead one have ended.
	f.repo = repo
	if life.Ended() {
		f.repo = f.later()
		must(t, f.rove(ctx, func(sqlrepo.OpenUpload) error { return nil }))
	}

	upload, err := f.repo.Upload(ctx, opened.Upload.ID)
	must(t, err)
	if upload.State != sqlrepo.Complete {
		t.Fatalf("after %d commits: the upload is %s: %s; left out: %v", commits, upload.State, upload.Error, f.leftOut())
	}

	checktest.Sound(t, f.repo, f.dir)
	equal(t, "root", upload.RootCID.String(), rootOf(t, path))
	return upload.RootCID.String(), f.stored(), life.Commits()
}

// steady is moving with the same content each time.
func steady(tb testing.TB) string {
	tb.Helper()
	return tree(tb, map[string]string{
		"a/large": strings.Repeat("0123456789abcde", 175_000), "b/changed": "as it was", "b/gone": "gone", "dir/sub/x": "x",
		"dir/y": "y", "z": "last",
	})
}
