package backup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// atWork returns a repository in which a worker has a lease of an upload in a store.
func atWork(t *testing.T, db *dialect.DB) *sqlrepo.Repository {
	t.Helper()
	repo, ctx := sqlrepo.New(db), t.Context()
	space, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:one", Name: "one", ShardSize: 1 << 20})
	must(t, err)
	source, err := repo.AddSource(ctx, sqlrepo.Source{Space: space.ID, Name: "source", Path: []byte("/source")})
	must(t, err)
	store, err := repo.AddStore(ctx, sqlrepo.Store{Identity: "STORE", Name: "store", URL: "s3://bucket/?endpoint=h"})
	must(t, err)
	opened, err := repo.OpenUpload(ctx, source.ID, sqlrepo.Upload{
		Profile: "profile", ShardSize: 1 << 20, Store: store.Identity,
	})
	must(t, err)
	_, err = repo.ClaimStage(ctx, sqlrepo.Claim{Worker: "worker", Term: time.Hour}, opened.Upload.ID)
	must(t, err)
	return repo
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func requireNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("there are %q, want %q", names, want)
	}
}

func TestNobodyIsAtWorkInABackup(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo, file := atWork(t, db), filepath.Join(t.TempDir(), "kept.db")
		content, err := backup.Write(t.Context(), repo, file, backup.Options{})
		must(t, err)
		settings := dialect.Settings{Type: "sqlite", URL: dialect.Secret(file),
			Options: []any{sqlite.Options{ReadOnly: true}}}
		kept, err := dialect.Open(t.Context(), settings)
		must(t, err)
		defer func() { must(t, kept.Close()) }()

		open, err := sqlrepo.New(kept).OpenUploads(t.Context(), sqlrepo.OpenFilter{})
		must(t, err)
		if len(open) != 1 || open[0].Lease != (sqlrepo.Lease{}) {
			t.Errorf("open are %+v", open)
		}

		for name, other := range map[string]*sqlrepo.Repository{"the backup": sqlrepo.New(kept), "the source": repo} {
			there, err := copying.New(other).Content(t.Context())
			must(t, err)
			if !slices.Equal(there, content) {
				t.Errorf("%s has %+v, was told to have %+v", name, there, content)
			}

			stores, err := other.Stores(t.Context())
			must(t, err)
			if len(stores) != 1 || stores[0].URL != "s3://bucket/?endpoint=h" || stores[0].SeenAt.IsZero() {
				t.Errorf("%s has the stores %+v", name, stores)
			}
		}
	})
}

// TestEachPassOfABackupIsTold requires that each pass over the rows goes from nothing to all, and has its own name.
func TestEachPassOfABackupIsTold(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo, file := atWork(t, db), filepath.Join(t.TempDir(), "kept.db")
		before, told := map[bool]int64{}, 0
		_, err := backup.Write(t.Context(), repo, file, backup.Options{Progress: func(p copying.TransferProgress) {
			if p.Table == "" {
				return
			}
			if p.Done < before[p.Comparing] {
				t.Errorf("from %d back to %+v", before[p.Comparing], p)
			}
			before[p.Comparing] = p.Done
			told++
		}})
		if must(t, err); told == 0 {
			t.Error("there was no progress")
		}
	})
}

// TestAFailedBackupLeavesNothing: no failure leaves a file, even if another process has made the file meanwhile.
func TestAFailedBackupLeavesNothing(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		repo, dir := atWork(t, db), t.TempDir()
		file := filepath.Join(dir, "kept*.db")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := backup.Write(ctx, repo, file, backup.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}

		requireNames(t, dir)
		must(t, os.WriteFile(file, []byte("mine"), 0o600))
		if _, err := backup.Write(t.Context(), repo, file, backup.Options{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v", err)
		}

		requireNames(t, dir, "kept*.db")
		if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
			t.Errorf("the file has %q; %v", content, err)
		}

		_, err := backup.Write(t.Context(), repo, file, backup.Options{Overwrite: true})
		if !errors.Is(err, backup.ErrNoBackup) {
			t.Errorf("error %v", err)
		}
		must(t, os.Remove(file))

		for range 2 {
			_, err := backup.Write(t.Context(), repo, file, backup.Options{Overwrite: true})
			must(t, err)
		}
		requireNames(t, dir, "kept*.db")
	})
}

func TestABackupIsWrittenByOneProcess(t *testing.T) {
	repo, dir := atWork(t, enginetest.Engines()[0].Open(t)), t.TempDir()
	file := filepath.Join(dir, "kept.db")
	left := file + ".partial"
	must(t, os.Mkdir(left, 0o700))
	for _, name := range []string{"backup.db", "backup.db-journal", "notes"} {
		must(t, os.WriteFile(filepath.Join(left, name), []byte("left"), 0o600))
	}

	other := flock.New(filepath.Join(left, "lock"))
	locked, err := other.TryLock()
	if err != nil || !locked {
		t.Fatal("not locked", err)
	}

	if _, err := backup.Write(t.Context(), repo, file, backup.Options{}); !errors.Is(err, backup.ErrUnderWay) {
		t.Errorf("error %v", err)
	}
	must(t, other.Close())
	if _, err := backup.Write(t.Context(), repo, file, backup.Options{}); err != nil {
		t.Error(err)
	}
	requireNames(t, dir, "kept.db", "kept.db.partial")
	requireNames(t, left, "notes") // the file is not from a backup
}

// TestWhatInterruptedBackupsLeft: the next backup in the same directory removes leftovers, unless a process is at
// work there or the files are not from a backup.
func TestWhatInterruptedBackupsLeft(t *testing.T) {
	repo, dir := atWork(t, enginetest.Engines()[0].Open(t)), t.TempDir()
	old := time.Now().Add(-48 * time.Hour)
	for name, holds := range map[string][]string{
		"killed.db.partial": {"lock", "backup.db", "backup.db-journal"}, "restore-killed": {"lock", "backup.db"},
		"restore-begun": nil, "restore-old": {"backup.db"},
		"busy.db.partial": {"lock", "backup.db"}, "restore-new": {"backup.db"}, "mine.partial": {"lock", "notes"},
	} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))

		for _, file := range holds {
			path := filepath.Join(dir, name, file)
			must(t, os.WriteFile(path, nil, 0o600))
			if name == "restore-old" {
				must(t, os.Chtimes(path, old, old))
			}
		}
	}

	busy := flock.New(filepath.Join(dir, "busy.db.partial", "lock"))
	locked, err := busy.TryLock()
	if err != nil || !locked {
		t.Fatal("not locked", err)
	}

	// They are listed first, which changes nothing.
	left, err := backup.Leftovers(dir)
	must(t, err)
	var names []string
	for _, l := range left {
		names = append(names, filepath.Base(l.Path))
		if l.Changed.IsZero() || l.Bytes != 0 {
			t.Errorf("got %+v", l)
		}
	}
	want := []string{"killed.db.partial", "restore-begun", "restore-killed", "restore-old"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}

	_, err = backup.Write(t.Context(), repo, filepath.Join(dir, "kept.db"), backup.Options{})
	must(t, err)
	requireNames(t, dir, "busy.db.partial", "kept.db", "mine.partial", "restore-new")
	must(t, busy.Close())
	must(t, backup.Sweep(dir))
	requireNames(t, dir, "kept.db", "mine.partial", "restore-new")
}
