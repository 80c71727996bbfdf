package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite is the dialect of the embedded engine: one file, one writer, many readers beside it, all on one host.
func SQLite() Dialect {
	return Dialect{
		Name:        "sqlite",
		Placeholder: squirrel.Question,
		Snapshot:    sql.TxOptions{ReadOnly: true},
		Among:       sqliteAmong,
		BulkInsert:  insertRows,
		LockRun:     sqliteLockRun,
		HasTable:    sqliteHasTable,
		CopyAside:   sqliteCopyAside,
		Files:       sqliteFiles,
		Size:        sqliteSize,
		Classify:    classifySQLite,
		handles:     sqliteHandles{},
		infer:       inferSQLite,
	}
}

const (
	sqliteDriver  = "sqlite"
	sqliteReaders = 4
)

func isPlainPath(url string) bool { return strings.HasPrefix(url, "/") || strings.HasPrefix(url, ".") }

// inferSQLite takes any path but one that begins as a URL does: that could be another engine's, with a password.
func inferSQLite(url string) bool {
	first, _, _ := strings.Cut(filepath.ToSlash(url), "/")
	drive := filepath.VolumeName(url)
	return isPlainPath(url) || strings.HasPrefix(url, "sqlite://") || strings.HasPrefix(url, "file:") ||
		!strings.Contains(strings.TrimPrefix(first, drive), ":")
}

// sqliteAmong passes all keys as one parameter: the driver takes time that grows with the square of their number.
func sqliteAmong(column string, keys []int64) squirrel.Sqlizer {
	list := []byte{'['}
	for i, key := range keys {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, key, 10)
	}
	return squirrel.Expr(column+" IN (SELECT value FROM json_each(?))", string(append(list, ']')))
}

type sqliteHandles struct{}

func (sqliteHandles) open(ctx context.Context, s Settings) (*sqlx.DB, *sqlx.DB, error) {
	file, err := sqliteFile(s)
	if err != nil {
		return nil, nil, err
	}
	if err := checkFilesystem(filepath.Dir(file), s.AllowNetworkFilesystem); err != nil {
		return nil, nil, err
	}
	writer, err := openSQLite(ctx, file, s, 1, "immediate")
	if err != nil {
		return nil, nil, err
	}
	if err := checkJournal(ctx, writer); err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	reader, err := openSQLite(ctx, file, s, sqliteReaders, "deferred", "query_only(1)")
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	return writer, reader, nil
}

// openSQLite puts the pragmas into the DSN, so that every connection of the pool has them.
func openSQLite(ctx context.Context, file string, s Settings, conns int, lock string,
	extra ...string) (*sqlx.DB, error) {
	query := url.Values{"_txlock": {lock}, "_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", s.BusyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "cache_size(-16384)",
	}, extra...)}
	location := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: query.Encode()}
	db, err := sqlx.Open(sqliteDriver, location.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func checkJournal(ctx context.Context, db *sqlx.DB) error {
	var mode string
	if err := db.GetContext(ctx, &mode, "PRAGMA journal_mode"); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %q although WAL was asked for: does the file system support shared memory?", mode)
	}
	return nil
}

// sqliteFile is the absolute path of the file that a URL or plain path names.
func sqliteFile(s Settings) (string, error) {
	name := s.URL.Reveal()
	if strings.HasPrefix(name, "sqlite://") || strings.HasPrefix(name, "file:") {
		parsed, err := url.Parse(name)
		if err != nil || parsed.Host != "" && parsed.Host != "localhost" || parsed.RawQuery != "" {
			return "", fmt.Errorf("%w: the database URL is not of the form sqlite:///PATH", ErrSettings)
		}
		name = parsed.Path + parsed.Opaque
	}
	if name == "" {
		return "", fmt.Errorf("%w: no path of a SQLite file", ErrSettings)
	}
	return filepath.Abs(name)
}

func (sqliteHandles) describe(s Settings) string {
	file, err := sqliteFile(s)
	if err != nil {
		return "SQLite"
	}
	return "SQLite database " + file
}

func sqliteHasTable(ctx context.Context, db *DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found,
		"SELECT COUNT(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?", name)
	return found, err
}

func sqliteFiles(s Settings) ([]string, error) {
	file, err := sqliteFile(s)
	if err != nil {
		return nil, err
	}
	files := []string{file}
	for _, suffix := range []string{"-wal", "-shm", "-journal", ".lock", ".migrate.lock"} {
		files = append(files, file+suffix)
	}
	copies, err := filepath.Glob(globEscape.Replace(file) + ".v*.bak*")
	return append(files, copies...), err
}

var globEscape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

func sqliteSize(ctx context.Context, db *DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	return size, err
}

func sqliteCopyAside(ctx context.Context, db *DB, suffix string) (string, error) {
	file, err := sqliteFile(db.Settings)
	if err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		target := file + suffix
		if n > 0 {
			target = fmt.Sprintf("%s.%d", target, n)
		}
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		_, err := db.Writer.ExecContext(ctx, "VACUUM INTO ?", target)
		return target, err
	}
}

// classifySQLite goes by result code: https://www.sqlite.org/rescode.html
func classifySQLite(err error) Class {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		if connectionLost(err) {
			return Unavailable
		}
		return Other
	}
	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return Exists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return MissingReference
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return Conflict
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH:
		return Unusable
	}
	return Other
}
