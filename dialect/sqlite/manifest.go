package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrNoManifest is returned for an archive without a manifest, such as one made by an older guppy.
var ErrNoManifest = errors.New("the file carries no digests")

// The manifest is a table that archives alone have, and a mark in the header of the file: neither can be lost
// unnoticed.
const (
	manifestTable = "archive_seal"
	manifestMark  = 0x67757070
	// manifestOfAll names the row with the schema's version and a digest of the other rows.
	manifestOfAll = ""
)

// WriteManifest writes into an archive what it holds, and a digest of the file. No process may have the archive open.
// WriteManifest replaces an earlier manifest. Any later change of the file breaks the manifest.
func WriteManifest(ctx context.Context, file string, manifest dialect.Manifest) error {
	blank, err := addManifest(ctx, file, manifest)
	if err != nil {
		return err
	}
	return stampArchive(ctx, file, blank)
}

// addManifest writes the manifest and returns the blank that the stamp will replace.
func addManifest(ctx context.Context, file string, manifest dialect.Manifest) (blank string, err error) {
	db, err := sqlx.Open(driverName, location(file, nil))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)

	insert := sq.Insert(manifestTable).Columns("name", "columns", "row_count", "digest").
		Values(manifestOfAll, "", manifest.Version, digestOf(manifest))
	for _, t := range manifest.Tables {
		insert = insert.Values(t.Name, t.Columns, t.Rows, t.Digest)
	}

	text, args, err := insert.ToSql()
	if err != nil {
		return "", err
	}

	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback() //nolint:errcheck // it does nothing after a commit
	if err := removeManifest(ctx, tx); err != nil {
		return "", err
	}

	const create = "CREATE TABLE " + manifestTable +
		" (name TEXT NOT NULL PRIMARY KEY, columns TEXT NOT NULL, row_count INTEGER NOT NULL, digest TEXT NOT NULL)"
	if _, err := tx.ExecContext(ctx, create); err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, text, args...); err != nil {
		return "", err
	}

	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", manifestMark)); err != nil {
		return "", err
	}
	if blank, err = addBlank(ctx, tx); err != nil {
		return "", err
	}
	return blank, tx.Commit()
}

func removeManifest(ctx context.Context, tx sqlx.ExecerContext) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + manifestTable, "DROP TABLE IF EXISTS " + stampTable, "PRAGMA application_id = 0",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// dropManifest removes the manifest from a file that will be changed: it would describe earlier content.
func dropManifest(ctx context.Context, db *sqlx.DB) (err error) {
	mark, err := readMark(ctx, db)
	if err != nil || mark != manifestMark {
		return err
	}

	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it does nothing after a commit
	if err := removeManifest(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

func readMark(ctx context.Context, q sqlx.QueryerContext) (mark int64, err error) {
	err = sqlx.GetContext(ctx, q, &mark, "PRAGMA application_id")
	return mark, err
}

var manifestNames = regexp.MustCompile(`^[a-z_0-9]+(, [a-z_0-9]+)*$`)

// ReadManifest returns the manifest of an open archive. It returns ErrNoManifest if there is none, and ErrDamaged if
// the manifest contradicts itself.
func ReadManifest(ctx context.Context, db *dialect.DB) (manifest dialect.Manifest, err error) {
	mark, err := readMark(ctx, db.Reader)
	if err != nil {
		return manifest, err
	}

	found, err := db.HasTable(ctx, manifestTable)
	switch {
	case err != nil:
		return manifest, err
	case !found && mark != manifestMark:
		return manifest, ErrNoManifest
	case !found || mark != manifestMark:
		return manifest, fmt.Errorf("%w: one part of its digests is missing", ErrDamaged)
	}

	query, args, err := sq.Select("name", "columns", "row_count", "digest").From(manifestTable).OrderBy("rowid").ToSql()
	if err != nil {
		return manifest, err
	}

	var rows []dialect.ManifestTable
	if err := db.Reader.SelectContext(ctx, &rows, query, args...); err != nil {
		return manifest, err
	}

	if len(rows) > 0 {
		manifest = dialect.Manifest{Version: uint(max(rows[0].Rows, 0)), Tables: rows[1:]}
	}
	if len(rows) == 0 || rows[0].Name != manifestOfAll || rows[0].Digest != digestOf(manifest) {
		return manifest, fmt.Errorf("%w: its digests are not those that were written", ErrDamaged)
	}

	for _, t := range manifest.Tables {
		if !manifestNames.MatchString(t.Name) || !manifestNames.MatchString(t.Columns) {
			return manifest, fmt.Errorf("%w: its digests are of a table with an impossible name", ErrDamaged)
		}
	}
	return manifest, nil
}

// digestOf returns a digest of the whole manifest.
func digestOf(s dialect.Manifest) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", s.Version)
	for _, t := range s.Tables {
		fmt.Fprintf(sum, "%q %q %d %q\n", t.Name, t.Columns, t.Rows, t.Digest)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// CheckArchive returns ErrDamaged, with the damage found, unless the pages of an open archive fit together. If the
// archive has a manifest, its file must also be the one that was manifest, bit by bit.
func CheckArchive(ctx context.Context, db *dialect.DB) error {
	if err := checkIntegrity(ctx, db.Reader); err != nil {
		return err
	}
	mark, err := readMark(ctx, db.Reader)
	if err != nil || mark != manifestMark {
		return err
	}
	file, err := fileOf(db.Settings)
	if err != nil {
		return err
	}
	return checkStamp(ctx, db.Reader, file)
}
