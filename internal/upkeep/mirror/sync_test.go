package mirror_test

import (
	"context"
	"crypto/sha256"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// lacking is a repository with one shard that a replica lacks.
type lacking struct {
	mirror.Replicas
	blob   sqlrepo.Blob
	copies []sqlrepo.Digest
}

func (l *lacking) UncopiedShards(context.Context, string, string) iter.Seq2[sqlrepo.Blob, error] {
	return func(yield func(sqlrepo.Blob, error) bool) { yield(l.blob, nil) }
}

func (l *lacking) UncopiedIndexes(context.Context, string, string) iter.Seq2[sqlrepo.Blob, error] {
	return func(func(sqlrepo.Blob, error) bool) {}
}

func (l *lacking) AddCopies(_ context.Context, _ string, digests []sqlrepo.Digest) error {
	l.copies = append(l.copies, digests...)
	return nil
}

func (l *lacking) Copies(context.Context, string) iter.Seq2[sqlrepo.Digest, error] {
	return func(func(sqlrepo.Digest, error) bool) {}
}

func (l *lacking) ForgetCopies(context.Context, string, []sqlrepo.Digest) error { return nil }

func (l *lacking) Synced(context.Context, string, string) error { return nil }

// TestWhatIsBeingRemovedIsSentAgain syncs into a store that has a file as a stray, or is about to delete that stray:
// the file can be read until then, but is no copy.
func TestWhatIsBeingRemovedIsSentAgain(t *testing.T) {
	content := []byte("content")
	digest := sha256.Sum256(content)
	name := shard.Name(digest)
	for _, removing := range []bool{false, true} {
		from, fromPath := directory(t)
		to, toPath := directory(t)
		for _, path := range []string{fromPath, toPath} {
			must(t, os.WriteFile(filepath.Join(path, name), content, 0o600))
		}

		repo := &lacking{blob: sqlrepo.Blob{ID: 1, Digest: digest[:], Size: int64(len(content))}}
		syncer := &mirror.Syncer{Repo: repo, From: from, To: to, Progress: &mirror.Progress{},
			Failed: func(name string, err error) { t.Errorf("%s: %v", name, err) }}
		if removing {
			trashed, err := to.Trash(t.Context(), "me", name)
			must(t, err)
			must(t, syncer.Run(t.Context()))
			must(t, to.Delete(t.Context(), trashed))
		} else {
			must(t, syncer.Run(t.Context()))
		}

		if copied := syncer.Progress.Copied.Load(); (copied == 1) != removing || len(repo.copies) != 1 {
			t.Errorf("removing: %t: %d copied, %d recorded", removing, copied, len(repo.copies))
		}
		if got, err := os.ReadFile(filepath.Join(toPath, name)); err != nil || string(got) != string(content) {
			t.Errorf("removing: %t: %q, %v", removing, got, err)
		}
	}
}
