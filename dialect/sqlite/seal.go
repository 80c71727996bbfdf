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

// ErrNoSeal is returned for an archive without a seal, such as one made by an older guppy.
var ErrNoSeal = errors.New("the file carries no digests")

// The seal is a table that archives alone have, and a mark in the header of the file: neither can be lost unnoticed.
const (
	sealTable = "archive_seal"
	sealMark  = 0x67757070
	// sealOfAll names the row with the schema's version and a digest of the other rows.
	sealOfAll = ""
)

// SealArchive writes into an archive what it holds, and a digest of the file. No process may have the archive open.
// SealArchive replaces an earlier seal. Any later change of the file breaks the seal.
func SealArchive(ctx context.Context, file string, seal dialect.Seal) error {
	blank, err := writeSeal(ctx, file, seal)
	if err != nil {
		return err
	}
	return stampArchive(ctx, file, blank)
}

// writeSeal writes the seal and returns the blank that the stamp will replace.
func writeSeal(ctx context.Context, file string, seal dialect.Seal) (blank string, err error) {
	db, err := sqlx.Open(driverName, location(file, nil))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)

	insert := sq.Insert(sealTable).Columns("name", "columns", "row_count", "digest").
		Values(sealOfAll, "", seal.Version, digestOf(seal))
	for _, t := range seal.Tables {
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
	if err := removeSeal(ctx, tx); err != nil {
		return "", err
	}

	const create = "CREATE TABLE " + sealTable +
		" (name TEXT NOT NULL PRIMARY KEY, columns TEXT NOT NULL, row_count INTEGER NOT NULL, digest TEXT NOT NULL)"
	if _, err := tx.ExecContext(ctx, create); err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, text, args...); err != nil {
		return "", err
	}

	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", sealMark)); err != nil {
		return "", err
	}
	if blank, err = addBlank(ctx, tx); err != nil {
		return "", err
	}
	return blank, tx.Commit()
}

func removeSeal(ctx context.Context, tx sqlx.ExecerContext) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + sealTable, "DROP TABLE IF EXISTS " + stampTable, "PRAGMA application_id = 0",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// breakSeal removes the seal from a file that will be changed: it would describe earlier content.
func breakSeal(ctx context.Context, db *sqlx.DB) (err error) {
	mark, err := readMark(ctx, db)
	if err != nil || mark != sealMark {
		return err
	}

	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it does nothing after a commit
	if err := removeSeal(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

func readMark(ctx context.Context, q sqlx.QueryerContext) (mark int64, err error) {
	err = sqlx.GetContext(ctx, q, &mark, "PRAGMA application_id")
	return mark, err
}

var sealedNames = regexp.MustCompile(`^[a-z_0-9]+(, [a-z_0-9]+)*$`)

// ReadSeal returns the seal of an open archive. It returns ErrNoSeal if there is no seal, and ErrDamaged if the seal
// contradicts itself.
func ReadSeal(ctx context.Context, db *dialect.DB) (seal dialect.Seal, err error) {
	mark, err := readMark(ctx, db.Reader)
	if err != nil {
		return seal, err
	}

	found, err := db.HasTable(ctx, sealTable)
	switch {
	case err != nil:
		return seal, err
	case !found && mark != sealMark:
		return seal, ErrNoSeal
	case !found || mark != sealMark:
		return seal, fmt.Errorf("%w: one part of its digests is missing", ErrDamaged)
	}

	query, args, err := sq.Select("name", "columns", "row_count", "digest").From(sealTable).OrderBy("rowid").ToSql()
	if err != nil {
		return seal, err
	}

	var rows []dialect.SealedTable
	if err := db.Reader.SelectContext(ctx, &rows, query, args...); err != nil {
		return seal, err
	}

	if len(rows) > 0 {
		seal = dialect.Seal{Version: uint(max(rows[0].Rows, 0)), Tables: rows[1:]}
	}
	if len(rows) == 0 || rows[0].Name != sealOfAll || rows[0].Digest != digestOf(seal) {
		return seal, fmt.Errorf("%w: its digests are not those that were written", ErrDamaged)
	}

	for _, t := range seal.Tables {
		if !sealedNames.MatchString(t.Name) || !sealedNames.MatchString(t.Columns) {
			return seal, fmt.Errorf("%w: its digests are of a table with an impossible name", ErrDamaged)
		}
	}
	return seal, nil
}

// digestOf returns a digest of the whole seal.
func digestOf(s dialect.Seal) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", s.Version)
	for _, t := range s.Tables {
		fmt.Fprintf(sum, "%q %q %d %q\n", t.Name, t.Columns, t.Rows, t.Digest)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// CheckArchive returns ErrDamaged, with the damage found, unless the pages of an open archive fit together. If the
// archive has a seal, its file must also be the one that was sealed, bit by bit.
func CheckArchive(ctx context.Context, db *dialect.DB) error {
	if err := checkIntegrity(ctx, db.Reader); err != nil {
		return err
	}
	mark, err := readMark(ctx, db.Reader)
	if err != nil || mark != sealMark {
		return err
	}
	file, err := fileOf(db.Settings)
	if err != nil {
		return err
	}
	return checkStamp(ctx, db.Reader, file)
}
