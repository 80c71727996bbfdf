package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// SQLite is the dialect of the embedded engine: one file, one writer, many readers beside it, all on one host.
func SQLite() Dialect {
	return Dialect{
		Name:        "sqlite",
		Title:       "SQLite",
		DefaultURL:  sqliteDefaultURL,
		Placeholder: squirrel.Question,
		Snapshot:    sql.TxOptions{ReadOnly: true},
		Among:       sqliteAmong,
		BulkInsert:  insertRows,
		LockUse:     sqliteLockUse,
		LockAll:     sqliteLockAll,
		Writing:     sqliteWriter,
		Clock:       sqliteClock,
		Probe:       sqliteProbe,
		Listen:      sqliteListen,
		PoolSize:    1 + sqliteReaders,
		IsEmpty:     sqliteIsEmpty,
		HasTable:    sqliteHasTable,
		CopyAside:   sqliteCopyAside,
		CopyPages:   sqliteCopyPages,
		Files:       sqliteFiles,
		Size:        sqliteSize,
		Vacuum:      sqliteVacuum,
		Classify:    classifySQLite,
		handles:     sqliteHandles{},
		same:        sqliteSame,
		indexes:     sqliteMadeIndexes,
		trimLog:     sqliteTrimLog,
		explain:     sqliteExplain,
		inspect:     sqliteInspect,
		urls:        sqliteURLs{},
	}
}

const (
	sqliteDriver  = "sqlite"
	sqliteReaders = 4
)

// sqliteAmong passes all keys as one parameter: the driver takes time that grows with the square of their number.
func sqliteAmong(column string, keys []int64) squirrel.Sqlizer {
	return squirrel.Expr(column+" IN (SELECT value FROM json_each(?))", jsonList(keys))
}

func jsonList(keys []int64) string {
	list := []byte{'['}
	for i, key := range keys {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, key, 10)
	}
	return string(append(list, ']'))
}

func sqliteClock(offset time.Duration) squirrel.Sqlizer {
	return squirrel.Expr("CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?", offset.Microseconds())
}

// sqliteProbe joins with CROSS JOIN, which SQLite takes for the order in which to read.
func sqliteProbe(query squirrel.SelectBuilder, table, column string, keys []int64) squirrel.SelectBuilder {
	list := squirrel.Select("value AS probed").From("json_each").Where(squirrel.Eq{"json": jsonList(keys)})
	return query.FromSelect(list, "probes").CrossJoin(table).Where(column + " = probes.probed")
}

type sqliteHandles struct{}

func (sqliteHandles) open(ctx context.Context, s Settings) (*sqlx.DB, *sqlx.DB, error) {
	file, err := sqliteFile(s)
	if err != nil {
		return nil, nil, err
	}
	if s.ReadOnly {
		db, err := openSQLiteReadOnly(ctx, file)
		return db, db, err
	}
	if err := checkFilesystem(filepath.Dir(file), s.AllowNetworkFilesystem); err != nil {
		return nil, nil, err
	}
	if err := s.provideFile(file); err != nil {
		return nil, nil, err
	}
	writer, err := openSQLite(ctx, file, s, 1, "immediate")
	if err != nil {
		return nil, nil, err
	}
	err = checkJournal(ctx, writer, s.journal())
	if err == nil {
		err = breakSeal(ctx, writer)
	}
	if err != nil {
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
		fmt.Sprintf("journal_mode(%s)", s.journal()), "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)",
		"cache_size(-16384)",
	}, extra...)}
	query["_pragma"] = append(query["_pragma"], temporaryBeside(file)...)
	if s.Existing {
		query.Set("mode", "rw") // a file that is gone by now is not made
	}
	db, err := sqlx.Open(sqliteDriver, sqliteLocation(file, query))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(sqliteExplain(s, err, false), db.Close())
	}
	return db, nil
}

func checkJournal(ctx context.Context, db *sqlx.DB, want string) error {
	var mode string
	if err := db.GetContext(ctx, &mode, "PRAGMA journal_mode"); err != nil {
		return err
	}
	if mode != want {
		return fmt.Errorf("journal mode is %q although %s was asked for: does the file system support shared memory?", mode,
			want)
	}
	return nil
}

func (sqliteHandles) name(s Settings) (string, error) { return sqliteFile(s) }

func sqliteIsEmpty(ctx context.Context, db *DB, but string) (empty bool, err error) {
	err = db.Writer.GetContext(ctx, &empty,
		"SELECT COUNT(*) = 0 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@' AND name <> ?",
		but)
	return empty, err
}

func sqliteHasTable(ctx context.Context, db *DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found,
		"SELECT COUNT(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?", name)
	return found, err
}

func sqliteSize(ctx context.Context, db *DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	return size, err
}
