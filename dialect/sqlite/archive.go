package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jmoiron/sqlx"
	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrDamaged is returned for a database file that is not sound, with the damage found.
var ErrDamaged = errors.New("the database file is damaged")

// IsDamage reports whether an error says that a database file is not sound, or not even a database.
func IsDamage(err error) bool {
	var failure *modernc.Error
	if errors.As(err, &failure) {
		code := failure.Code() & 0xff
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, ErrDamaged)
}

// location adds the settings of a connection to the path.
func location(file string, query url.Values) string {
	location := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: query.Encode()}
	return location.String()
}

// pageCopier is implemented by the driver's connection.
type pageCopier interface {
	NewBackup(location string) (*modernc.Backup, error)
}

// pagesAtOnce is the number of pages copied between two checks of the context.
const pagesAtOnce = 1024

// CopyPages copies within the transaction that reads on conn. Writers thus neither wait for the copy nor make it
// start again.
func (Engine) CopyPages(ctx context.Context, conn *sqlx.Conn, file string, progress func(done, of int64)) error {
	if err := makeFile(file); err != nil {
		return err
	}

	return conn.Raw(func(driverConn any) error {
		source, ok := driverConn.(pageCopier)
		if !ok {
			return fmt.Errorf("a connection of SQLite's driver is needed, not a %T", driverConn)
		}
		pages, err := source.NewBackup(location(file, url.Values{"_pragma": {"synchronous(OFF)"}}))
		if err != nil {
			return err
		}

		for more := true; more && err == nil; {
			if err = ctx.Err(); err == nil {
				more, err = pages.Step(pagesAtOnce)
				if progress != nil {
					progress(int64(pages.PageCount()-pages.Remaining()), int64(pages.PageCount()))
				}
			}
		}

		if err != nil {
			_ = pages.Finish() // the earlier error is returned
		} else {
			err = pages.Finish()
		}
		return explainFull(err, file, "make room there, or name another file")
	})
}

// FinishFile proves that a SQLite file is sound, and makes it a single file that needs no other beside it. No
// process may have it open. Its content is durable when FinishFile returns. FinishFile returns ErrDamaged for a file
// that is not sound.
func FinishFile(ctx context.Context, file string) (err error) {
	db, err := sqlx.Open(driverName, location(file, nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	db.SetMaxOpenConns(1)
	var mode string
	if err := db.GetContext(ctx, &mode, "PRAGMA journal_mode = DELETE"); err != nil {
		return err
	}
	if err := checkIntegrity(ctx, db); err != nil {
		return err
	}
	return syncFile(file)
}

func checkIntegrity(ctx context.Context, db *sqlx.DB) error {
	var problems []string
	if err := db.SelectContext(ctx, &problems, "PRAGMA integrity_check(10)"); err != nil {
		return err
	}
	if len(problems) != 1 || problems[0] != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(problems, "; "))
	}
	return nil
}

// openReadOnly opens a file that no process writes to, and makes no file beside it.
func openReadOnly(ctx context.Context, file string) (*sqlx.DB, error) {
	if err := refuseWAL(file); err != nil {
		return nil, err
	}
	return openUnchanged(ctx, file, url.Values{"immutable": {"1"}})
}

// openUnchanged opens a file for reading only.
func openUnchanged(ctx context.Context, file string, query url.Values) (*sqlx.DB, error) {
	query.Set("mode", "ro")
	query.Set("_pragma", "query_only(1)")
	db, err := sqlx.Open(driverName, location(file, query))
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

var errNotAlone = errors.New("it is a database in use, some of which may be in the files beside it")

// refuseWAL reads the file's header: SQLite itself ignores the WAL of a file that is opened as immutable.
func refuseWAL(file string) error {
	header, err := fileHeader(file)
	if err == nil && len(header) > readVersion && header[readVersion] == walVersion {
		return errNotAlone
	}
	return err
}

// IsArchive reports whether a file is a database that needs no other file beside it, as FinishFile leaves one.
func IsArchive(file string) (bool, error) {
	header, err := fileHeader(file)
	return len(header) > readVersion && strings.HasPrefix(string(header), fileMagic) &&
		header[readVersion] != walVersion, err
}

// What a file begins with: https://www.sqlite.org/fileformat.html
const (
	fileMagic   = "SQLite format 3\x00"
	readVersion = 19
	walVersion  = 2
)

// fileHeader returns the file's header, or the part of it that is there.
func fileHeader(file string) ([]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(opened, readVersion+1))
}
