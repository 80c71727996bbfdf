package mirror_test

import (
	"context"
	"crypto/sha256"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// lacking is a repository with one shard that a replica lacks, of two uploads.
type lacking struct {
	mirror.Replicas
	blob sqlrepo.Blob
	// unneeded is true if the replica is not to have the shard any longer.
	unneeded bool
	// recording, if not nil, is called before copies are recorded.
	recording func()
	copies    []sqlrepo.Digest
	synced    bool
}

func (l *lacking) UncopiedShards(context.Context, string, string) iter.Seq2[sqlrepo.Blob, error] {
	return func(yield func(sqlrepo.Blob, error) bool) {
		for range 2 {
			if !yield(l.blob, nil) {
				return
			}
		}
	}
}

func (l *lacking) UncopiedIndexes(context.Context, string, string) iter.Seq2[sqlrepo.Blob, error] {
	return func(func(sqlrepo.Blob, error) bool) {}
}

func (l *lacking) LackingIn(context.Context, string, string) (sqlrepo.Replica, error) {
	return sqlrepo.Replica{Files: 1, Bytes: l.blob.Size}, nil
}

func (l *lacking) AddCopies(_ context.Context, _ string, digests []sqlrepo.Digest) ([]sqlrepo.Digest, error) {
	if l.recording != nil {
		l.recording()
	}
	if l.unneeded {
		return digests, nil
	}
	l.copies = append(l.copies, digests...)
	return nil, nil
}

func (l *lacking) Named(_ context.Context, _ string, digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need,
	error) {
	named := map[sqlrepo.Digest]sqlrepo.Need{}
	for _, digest := range digests {
		if !l.unneeded {
			named[digest] = sqlrepo.Need{Here: true}
		}
	}
	return named, nil
}

func (l *lacking) StillNamed(ctx context.Context, store string,
	digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need, error) {
	return l.Named(ctx, store, digests)
}

func (l *lacking) Spaces(context.Context) ([]sqlrepo.Space, error) {
	return []sqlrepo.Space{{DID: "did:key:space"}}, nil
}

func (l *lacking) Copies(context.Context, string) iter.Seq2[sqlrepo.Digest, error] {
	return func(func(sqlrepo.Digest, error) bool) {}
}

func (l *lacking) ForgetCopies(_ context.Context, _ string, digests []sqlrepo.Digest) error {
	l.copies = slices.DeleteFunc(l.copies, func(d sqlrepo.Digest) bool { return slices.Contains(digests, d) })
	return nil
}

func (l *lacking) Synced(context.Context, string, string) error {
	l.synced = true
	return nil
}

// TestFilesRemovedDuringASync has a removal that takes a file before it was sent, or after. The file may be needed
// again by then.
func TestFilesRemovedDuringASync(t *testing.T) {
	content := []byte("content")
	digest := sha256.Sum256(content)
	name := shard.Name(digest)
	for what, tt := range map[string]struct {
		// gone is true if the origin does not have the file.
		gone, unneeded bool
		// lost is true if a removal takes the file from the replica before its copy is recorded.
		lost bool
		// copied and failed are the counts, and there says whether the replica has the file, and a record of that.
		copied, failed int64
		there          bool
	}{
		"nothing is removed":          {copied: 1, there: true},
		"lost in the origin":          {gone: true, failed: 1},
		"removed before it was sent":  {gone: true, unneeded: true},
		"removed after it was sent":   {unneeded: true},
		"needed again after that":     {lost: true, copied: 1, there: true},
		"removed everywhere meantime": {lost: true, unneeded: true},
	} {
		t.Run(what, func(t *testing.T) {
			from, fromPath := directory(t)
			to, toPath := directory(t)
			if !tt.gone {
				must(t, os.WriteFile(filepath.Join(fromPath, name), content, 0o600))
			}

			repo := &lacking{blob: sqlrepo.Blob{ID: 1, Digest: digest[:], Size: int64(len(content))}, unneeded: tt.unneeded}
			if tt.lost {
				repo.recording = func() {
					must(t, os.Remove(filepath.Join(toPath, name)))
					repo.recording = nil
				}
			}
			failed := int64(0)
			syncer := &mirror.Syncer{Repo: repo, From: from, To: to, Counts: &mirror.Counts{},
				Progress: progress.NewTask("", ""), Failed: func(string, error) { failed++ }}
			err := syncer.Run(t.Context())

			if (err != nil) != (tt.failed > 0) || repo.synced != (err == nil) || failed != tt.failed {
				t.Errorf("%d failed: %v", failed, err)
			}
			if err != nil && err.Error() != "content does not match its name: 1 file not copied" {
				t.Error(err)
			}
			files := int64(1)
			if tt.lost && !tt.unneeded {
				files = 2 // it was sent again
			}
			requireWhole(t, syncer.Progress, files)
			if copied := syncer.Counts.Copied.Load(); copied != tt.copied {
				t.Errorf("%d copied, want %d", copied, tt.copied)
			}
			_, err = os.Stat(filepath.Join(toPath, name))
			if there := err == nil; there != tt.there || len(repo.copies) > 0 != there {
				t.Errorf("the file is there: %t; recorded: %x", there, repo.copies)
			}
		})
	}
}

// waiting lists what it has, and then waits for the end of the listing.
type waiting struct{ *lacking }

func (w waiting) UncopiedShards(ctx context.Context, _, _ string) iter.Seq2[sqlrepo.Blob, error] {
	return func(yield func(sqlrepo.Blob, error) bool) {
		if yield(w.blob, nil) {
			<-ctx.Done()
			yield(w.blob, nil)
		}
	}
}

// TestASyncThatFailsSaysSoOnce: the error of a copy also ends the list of what is lacking.
func TestASyncThatFailsSaysSoOnce(t *testing.T) {
	from, _ := filled(t)
	to, _ := directory(t)
	digest := sha256.Sum256([]byte("content 1"))
	repo := waiting{&lacking{blob: sqlrepo.Blob{ID: 1, Digest: digest[:], Size: 9}}}
	syncer := &mirror.Syncer{Repo: repo, From: from, Counts: &mirror.Counts{},
		To:     &storetest.Faulty{Store: to, Fail: storetest.FailAt("create", 1, errStop)},
		Failed: func(name string, err error) { t.Errorf("%s: %v", name, err) }}
	if err := syncer.Run(t.Context()); err == nil || err.Error() != errStop.Error() {
		t.Errorf("%q", err)
	}
}

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
		syncer := &mirror.Syncer{Repo: repo, From: from, To: to, Counts: &mirror.Counts{},
			Failed: func(name string, err error) { t.Errorf("%s: %v", name, err) }}
		if removing {
			trashed, err := to.Trash(t.Context(), "me", name)
			must(t, err)
			must(t, syncer.Run(t.Context()))
			must(t, to.Delete(t.Context(), trashed))
		} else {
			must(t, syncer.Run(t.Context()))
		}

		if copied := syncer.Counts.Copied.Load(); (copied == 1) != removing || len(repo.copies) != 1 {
			t.Errorf("removing: %t: %d copied, %d recorded", removing, copied, len(repo.copies))
		}
		if got, err := os.ReadFile(filepath.Join(toPath, name)); err != nil || string(got) != string(content) {
			t.Errorf("removing: %t: %q, %v", removing, got, err)
		}
	}
}
