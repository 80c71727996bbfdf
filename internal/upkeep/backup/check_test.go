package backup_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

func TestABackupProvesItself(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo, file := atWork(t, db), filepath.Join(t.TempDir(), "kept.db")
		content, err := backup.Write(t.Context(), repo, file, backup.Options{})
		must(t, err)
		manifest, err := backup.Check(t.Context(), file, nil)
		must(t, err)
		if expected, present := copying.Expected(manifest.Tables); !present || !slices.Equal(expected, content) {
			t.Errorf("the backup says %+v", manifest)
		}
	})
}

// openFile opens a database file that no other process has.
func openFile(t *testing.T, file string) *dialect.DB {
	t.Helper()
	db, err := dialect.Open(t.Context(), dialect.Settings{Type: "sqlite", URL: dialect.Secret(file),
		Options: []any{sqlite.Options{Alone: true}}})
	must(t, err)
	return db
}

// keptFile returns a backup of some pages, its content, and an empty repository in a file.
func keptFile(t *testing.T) (kept, empty string, content copying.Content) {
	t.Helper()
	dir := t.TempDir()
	db := enginetest.Engines()[0].Open(t)
	repo := atWork(t, db)
	const numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 700) "
	for _, rows := range []string{
		`INSERT INTO entries (id, mtime_ns, size, upload, permissions, kind, state, path)
			SELECT n, n, n, 1, 420, 1, 0, CAST('some/name/' || n AS BLOB) FROM numbers`,
		`INSERT INTO roots (entry, dag_size, cid) SELECT n, n, randomblob(36) FROM numbers`,
	} {
		_, err := db.Writer.ExecContext(t.Context(), numbers+rows)
		must(t, err)
	}
	kept, empty = filepath.Join(dir, "kept.db"), filepath.Join(dir, "empty.db")
	content, err := backup.Write(t.Context(), repo, kept, backup.Options{})
	must(t, err)
	other, _, err := migrate.New(dialect.Settings{Type: "sqlite", URL: dialect.Secret(empty),
		Options: []any{sqlite.Options{Alone: true}}}).Open(t.Context(), true)
	must(t, err)
	must(t, other.Close())
	return kept, empty, content
}

// restored restores a file into a copy of an empty repository, and returns the restored content.
func restored(t *testing.T, file string, empty []byte) (content copying.Content, failed error) {
	t.Helper()
	dir := t.TempDir()
	archive, err := backup.Open(t.Context(), file, dir, nil)
	if err != nil {
		return nil, err
	}
	defer func() { must(t, archive.Close()) }()

	target := filepath.Join(dir, "target.db")
	must(t, os.WriteFile(target, empty, 0o600))
	db := openFile(t, target)
	defer func() { must(t, db.Close()) }()
	_, failed = archive.Restore(t.Context(), sqlrepo.New(db), nil)
	content, err = copying.New(sqlrepo.New(db)).Content(t.Context())
	must(t, err)
	return content, failed
}

// TestFlippedBitsAreFound flips bits of some pages. A check finds each of them. A restore either finds it, too, or
// restores the rows that were backed up.
func TestFlippedBitsAreFound(t *testing.T) { flipBits(t, 8) }

// flipBits flips two bits of every nth page, one after the other.
func flipBits(t *testing.T, n int) {
	t.Helper()
	kept, emptyFile, want := keptFile(t)
	sound, err := os.ReadFile(kept)
	must(t, err)
	empty, err := os.ReadFile(emptyFile)
	must(t, err)
	nothing, err := restoredNothing(t, emptyFile)
	must(t, err)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	flipped := filepath.Join(t.TempDir(), "flipped.db")
	const page = 4096
	for at := random.IntN(n) * page; at < len(sound); at += n * page {
		for _, offset := range []int{at + random.IntN(page), at + random.IntN(page)} {
			bytes := slices.Clone(sound)
			bytes[offset] ^= 1 << random.IntN(8)
			must(t, os.WriteFile(flipped, bytes, 0o600))

			_, checked := backup.Check(t.Context(), flipped, nil)
			got, failed := restored(t, flipped, empty)
			switch {
			case failed == nil && !slices.Equal(got, want):
				t.Errorf("offset %d: the wrong rows were restored, check says %v", offset, checked)
			case failed != nil && got != nil && !slices.Equal(got, nothing):
				t.Errorf("offset %d: the restore failed, and left rows: %v", offset, failed)
			case checked == nil:
				t.Errorf("offset %d: check finds nothing, restore says %v", offset, failed)
			}
		}
	}
}

// restoredNothing returns the content of an empty repository.
func restoredNothing(t *testing.T, file string) (copying.Content, error) {
	t.Helper()
	db := openFile(t, file)
	defer func() { must(t, db.Close()) }()
	return copying.New(sqlrepo.New(db)).Content(t.Context())
}

// TestOlderBackups restores a backup without digests with a warning, and compares one with digests of other columns
// with those digests.
func TestOlderBackups(t *testing.T) {
	kept, emptyFile, want := keptFile(t)
	empty, err := os.ReadFile(emptyFile)
	must(t, err)
	must(t, openFile(t, kept).Close()) // opening a file for changes breaks its manifest
	if _, err := backup.Check(t.Context(), kept, nil); !errors.Is(err, backup.ErrUnproven) {
		t.Errorf("error %v", err)
	}
	if got, err := restored(t, kept, empty); err != nil || !slices.Equal(got, want) {
		t.Errorf("restored %+v; %v", got, err)
	}

	settings := dialect.Settings{Type: "sqlite", URL: dialect.Secret(kept),
		Options: []any{sqlite.Options{Alone: true}}}
	_, err = migrate.New(settings, migrate.WithDestroyData()).Migrate(t.Context(), migrate.DownTo(4))
	must(t, err)

	db := openFile(t, kept)
	tables := []dialect.ManifestTable{{Name: "spaces", Columns: "id, name, did"}, {Name: "roots", Columns: "cid"}}
	sums, err := copying.New(sqlrepo.New(db)).SumManifest(t.Context(), tables)
	must(t, errors.Join(err, db.Close()))
	for i, sum := range sums {
		tables[i].Rows, tables[i].Digest = sum.Rows, sum.Digest
	}
	must(t, sqlite.WriteManifest(t.Context(), kept, dialect.Manifest{Version: 4, Tables: tables}))

	_, err = backup.Check(t.Context(), kept, nil)
	must(t, err)
	_, err = restored(t, kept, empty)
	must(t, err)

	tables[1].Rows++
	must(t, sqlite.WriteManifest(t.Context(), kept, dialect.Manifest{Version: 4, Tables: tables}))
	for _, work := range []func() error{
		func() error { _, err := backup.Check(t.Context(), kept, nil); return err },
		func() error { _, err := restored(t, kept, empty); return err },
	} {
		if err := work(); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("error %v", err)
		}
	}
}
