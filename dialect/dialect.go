package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// ErrSettings is returned for settings that name no database that could be opened.
var ErrSettings = errors.New("database settings")

// Dialect is what one engine does in its own way.
type Dialect struct {
	// Name is the engine's name in the configuration, and that of its directory of migrations.
	Name string
	// Placeholder is the format in which statements are rendered.
	Placeholder squirrel.PlaceholderFormat
	// ClaimLock ends the SELECT that claims a row which others may claim at the same time.
	ClaimLock string
	// SharedLock ends a SELECT whose row must not change until the transaction ends.
	SharedLock string
	// Snapshot are the options of a transaction that sees one state of the database for as long as it reads.
	Snapshot sql.TxOptions
	// Among is the condition that a column is one of many keys.
	Among func(column string, keys []int64) squirrel.Sqlizer
	// BulkInsert adds many rows within tx; row returns the i-th, in a slice that is used until the next call.
	BulkInsert func(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error
	// LosesAnswers tells that a commit may fail for want of an answer and have happened all the same.
	LosesAnswers bool
	// LockRun gives one run the source with this key until it is released or its process ends. ErrLocked says who has
	// it. An engine that can be used by one run at a time locks the whole database.
	LockRun func(ctx context.Context, db *DB, source int64) (Lock, error)
	// HasTable tells whether the database has a table of this name. Any failure to find out is an error.
	HasTable func(ctx context.Context, db *DB, name string) (bool, error)
	// CopyAside writes a consistent copy of the database beside it, with this suffix, and returns where; it never
	// overwrites an earlier copy. It is nil where an engine has no such place.
	CopyAside func(ctx context.Context, db *DB, suffix string) (string, error)
	// Analyze looks at tables of which much has changed, so that the engine reads them the best way. It is nil where an
	// engine goes by its indexes alone.
	Analyze func(ctx context.Context, db *DB, tables []string) error
	// Files are the paths that the database takes on this host, whether or not they are there now. It is nil where the
	// engine keeps its own.
	Files func(s Settings) ([]string, error)
	// Size is the space that all tables and indexes take, in bytes.
	Size func(ctx context.Context, db *DB) (int64, error)
	// Classify sorts an error of the engine's driver.
	Classify func(err error) Class

	handles handles
	infer   func(url string) bool
}

type handles interface {
	open(ctx context.Context, s Settings) (writer, reader *sqlx.DB, err error)
	describe(s Settings) string
}

// Lock is held until it is released.
type Lock interface{ Release() error }

// ErrLocked is returned when another run holds the lock; the error's text says which.
var ErrLocked = errors.New("locked by another run")

func dialects() []Dialect { return []Dialect{Postgres(), SQLite()} }

// Names are the engines' names, as the configuration spells them.
func Names() []string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.Name)
	}
	sort.Strings(names)
	return names
}

// For returns the dialect of a configured engine. Without a name it is inferred from the URL. It returns ErrSettings
// when the name is unknown or disagrees with the URL, or when the URL is for no engine.
func For(name string, url Secret) (Dialect, error) {
	inferred, err := inferFrom(url)
	if err != nil {
		return Dialect{}, err
	}
	if name == "" || name == inferred.Name {
		return inferred, nil
	}
	for _, d := range dialects() {
		if d.Name != name {
			continue
		}
		if url != "" {
			return Dialect{}, fmt.Errorf("%w: the type is %q but the URL is one of %q", ErrSettings, name, inferred.Name)
		}
		return d, nil
	}
	return Dialect{}, fmt.Errorf("%w: unknown type %q (allowed: %s)", ErrSettings, name, strings.Join(Names(), ", "))
}

// inferFrom quotes nothing of the URL in its error: it may hold a password anywhere.
func inferFrom(url Secret) (Dialect, error) {
	for _, d := range dialects() {
		if d.infer(url.Reveal()) {
			return d, nil
		}
	}
	return Dialect{}, fmt.Errorf("%w: the database URL is neither postgres://..., host=..., sqlite:///PATH nor a path "+
		"(begin a path whose first name has a colon with ./)", ErrSettings)
}

// DB is an open database. Close it when done.
type DB struct {
	Dialect
	// Writer runs what changes rows, Reader what only reads; on some engines they are the same pool.
	Writer, Reader *sqlx.DB
	// Settings are those that it was opened with.
	Settings Settings
	Log      *slog.Logger
}

// Open opens the database that the settings name and proves that it answers. A database file that is absent is made.
func Open(ctx context.Context, s Settings) (*DB, error) {
	d, err := For(s.Type, s.URL)
	if err != nil {
		return nil, err
	}
	s = s.withDefaults()
	writer, reader, err := d.handles.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.handles.describe(s), err)
	}
	return &DB{Dialect: d, Writer: writer, Reader: reader, Settings: s, Log: s.Log}, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.Reader == db.Writer {
		return db.Writer.Close()
	}
	return errors.Join(db.Reader.Close(), db.Writer.Close())
}

// Describe says which database this is, without secrets.
func (db *DB) Describe() string { return db.handles.describe(db.Settings) }

// Tx is a transaction and the connection that it holds.
type Tx struct {
	*sqlx.Tx
	conn *sqlx.Conn
}

// Begin starts a transaction for writing. The caller ends it with Commit or Rollback, then calls Release.
func (db *DB) Begin(ctx context.Context) (*Tx, error) {
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTxx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Tx{Tx: tx, conn: conn}, nil
}

// Release gives the connection back to its pool.
func (tx *Tx) Release() error { return closeConn(tx.conn) }

// closeConn gives a connection back to its pool, which has dropped it already if it broke.
func closeConn(conn *sqlx.Conn) error {
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}
