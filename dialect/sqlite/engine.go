package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// Name is the engine's name in the configuration.
const Name = "sqlite"

const (
	driverName = "sqlite"
	readers    = 4
)

// Engine is SQLite: one file, one writer, many readers beside it, all on one host. It implements dialect.Engine.
type Engine struct{}

// These are the engine's capabilities. A method with another signature would leave its default in force.
var _ interface {
	dialect.Engine
	dialect.DefaultLocator
	dialect.LogTrimmer
	dialect.WriterNamer
	dialect.Listener
	dialect.Explainer
	dialect.Vacuumer
	dialect.FileLister
	dialect.PathCopier
	dialect.PageCopier
} = Engine{}

// Facts implements dialect.Engine.
func (Engine) Facts() dialect.Facts {
	return dialect.Facts{
		Name:            Name,
		Title:           "SQLite",
		Schemes:         []string{"sqlite", "file"},
		Forms:           []string{"sqlite:///PATH", "file:PATH or a path (begin it with ./ if its first name has a colon)"},
		PlainParameters: []string{"mode", "cache", "vfs", "immutable", "_pragma", "_txlock", "_time_format"},
		PoolSize:        1 + readers,
		Snapshot:        sql.TxOptions{ReadOnly: true},
		Placeholder:     sq.Question,
		MadeIndexes: `SELECT name, sql AS definition FROM sqlite_schema
			WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL`,
	}
}

// Among passes all keys as one parameter: the driver's time for parameters grows with the square of their number.
func (Engine) Among(column string, keys []int64) sq.Sqlizer {
	return sq.Expr(column+" IN (SELECT value FROM json_each(?))", jsonList(keys))
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

// Clock implements dialect.Dialect.
func (Engine) Clock(offset time.Duration) sq.Sqlizer {
	return sq.Expr("CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?", offset.Microseconds())
}

// Probe joins with CROSS JOIN, which SQLite reads in the written order.
func (Engine) Probe(query sq.SelectBuilder, table, column string, keys []int64) sq.SelectBuilder {
	list := sq.Select("value AS probed").From("json_each").Where(sq.Eq{"json": jsonList(keys)})
	return query.FromSelect(list, "probes").CrossJoin(table).Where(column + " = probes.probed")
}

// Connect implements dialect.Connector.
func (Engine) Connect(ctx context.Context, s dialect.Settings) (pools dialect.Pools, err error) {
	file, err := fileOf(s)
	if err != nil {
		return pools, err
	}

	options := optionsOf(s)
	if options.ReadOnly {
		db, err := openReadOnly(ctx, file)
		return dialect.Pools{Writer: db, Reader: db, State: &logKept{}}, err
	}

	if err := checkFilesystem(filepath.Dir(file), options.AllowNetworkFilesystem); err != nil {
		return pools, err
	}
	if s.Peek {
		db, err := openPeek(ctx, file)
		return dialect.Pools{Writer: db, Reader: db, State: &logKept{}}, err
	}
	if err := provideFile(file, s.Existing); err != nil {
		return pools, err
	}

	writer, err := openPool(ctx, file, s, 1, "immediate")
	if err != nil {
		return pools, err
	}

	err = checkJournal(ctx, writer, options.journal())
	if err == nil {
		err = dropManifest(ctx, writer)
	}
	if err != nil {
		return pools, errors.Join(err, writer.Close())
	}

	reader, err := openPool(ctx, file, s, readers, "deferred", "query_only(1)")
	if err != nil {
		return pools, errors.Join(err, writer.Close())
	}
	return dialect.Pools{Writer: writer, Reader: reader, State: &logKept{}}, nil
}

// openPool puts the pragmas into the DSN, so that every connection of the pool has them.
func openPool(ctx context.Context, file string, s dialect.Settings, conns int, lock string,
	extra ...string) (*sqlx.DB, error) {
	options := optionsOf(s)
	query := url.Values{"_txlock": {lock}, "_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", options.BusyTimeout.Milliseconds()),
		fmt.Sprintf("journal_mode(%s)", options.journal()), "synchronous(FULL)", "foreign_keys(1)",
		"journal_size_limit(67108864)", "cache_size(-16384)",
	}, extra...)}
	query["_pragma"] = append(query["_pragma"], temporaryBeside(file)...)
	if s.Existing {
		query.Set("mode", "rw") // a file that has vanished is not made again
	}

	db, err := sqlx.Open(driverName, location(file, query))
	if err != nil {
		return nil, err
	}

	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(Engine{}.Explain(s, err, false), db.Close())
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

// IsEmpty implements dialect.Inspector.
func (Engine) IsEmpty(ctx context.Context, db *dialect.DB, but string) (empty bool, err error) {
	err = db.Writer.GetContext(ctx, &empty,
		"SELECT COUNT(*) = 0 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@' AND name <> ?",
		but)
	return empty, err
}

// HasTable implements dialect.Inspector.
func (Engine) HasTable(ctx context.Context, db *dialect.DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found,
		"SELECT COUNT(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?", name)
	return found, err
}

// Size implements dialect.Inspector.
func (Engine) Size(ctx context.Context, db *dialect.DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	return size, err
}

// Same implements dialect.Inspector.
func (Engine) Same(_ context.Context, a, b *dialect.DB) (bool, error) {
	var infos [2]os.FileInfo
	for i, db := range []*dialect.DB{a, b} {
		file, err := fileOf(db.Settings)
		if err != nil {
			return false, err
		}
		if infos[i], err = os.Stat(file); err != nil {
			return false, err
		}
	}
	return os.SameFile(infos[0], infos[1]), nil
}
