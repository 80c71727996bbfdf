package dialect

import (
	"context"
	"database/sql"
	"sort"
	"time"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Dialect is what one engine does in its own way.
type Dialect struct {
	// Name is the engine's name in the configuration, and that of its directory of migrations.
	Name string
	// Title is the engine's name in messages.
	Title string
	// DefaultURL names a database in guppy's data directory. It is nil where an engine needs a URL.
	DefaultURL func(dataDir string) Secret
	// TakesPassword tells whether the engine asks for one.
	TakesPassword bool
	// Placeholder is the format in which statements are rendered.
	Placeholder squirrel.PlaceholderFormat
	// ClaimLock ends the SELECT that claims a row which others may claim at the same time.
	ClaimLock string
	// RowLock ends a SELECT whose row nobody else may lock or change until the transaction ends.
	RowLock string
	// Snapshot are the options of a transaction that sees one state of the database for as long as it reads.
	Snapshot sql.TxOptions
	// Unhurried is what a transaction executes that may idle for as long as it likes, "" where any may.
	Unhurried string
	// Among is the condition that a column is one of many keys.
	Among func(column string, keys []int64) squirrel.Sqlizer
	// BulkInsert adds many rows within tx; row returns the i-th, in a slice that is used until the next call.
	BulkInsert func(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error
	// LosesAnswers tells that a commit may fail for want of an answer and have happened all the same.
	LosesAnswers bool
	// LockAll keeps everybody else away until it is released. ErrLocked says who is at work.
	LockAll func(ctx context.Context, db *DB) (Lock, error)
	// PoolSize is the number of connections that an engine opens whatever the settings; 0 leaves it to them.
	PoolSize int
	// MissingSchema is the statement that makes the schema which the settings name, "" if it is there or they name none.
	// It is nil where an engine has none.
	MissingSchema func(ctx context.Context, db *DB) (statement string, err error)
	// CheckSchema returns ErrSchema unless a session uses the schema that the settings name, if they name one. It is nil
	// where an engine has none.
	CheckSchema func(ctx context.Context, session sqlx.QueryerContext, s Settings) error
	// IsEmpty tells whether the database has no tables but the one of this name.
	IsEmpty func(ctx context.Context, db *DB, but string) (bool, error)
	// LockUse keeps LockAll away until it is released or its process ends; any number may hold it. ErrLocked says who
	// has all.
	LockUse func(ctx context.Context, db *DB) (Lock, error)
	// Writing names another process of this host that keeps everybody else from writing now, for people to read. It is ""
	// if there is none or that can't be told, and nil where a process that writes keeps nobody else away.
	Writing func(db *DB) string
	// LosesLocks tells that a lock may be lost while its holder is at work.
	LosesLocks bool
	// Clock is the time of the database's own clock at an offset from now, in microseconds since 1970.
	Clock func(offset time.Duration) squirrel.Sqlizer
	// Probe has a query read the rows of a table whose column is one of many keys, by looking up each key in an index on
	// that column however many there are.
	Probe func(query squirrel.SelectBuilder, table, column string, keys []int64) squirrel.SelectBuilder
	// Notify wakes up whoever listens to the database; it is nil where commits do. Listen calls wake when somebody has
	// notified or committed, until ctx ends.
	Notify func(ctx context.Context, db *DB) error
	Listen func(ctx context.Context, db *DB, wake func()) error
	// HasTable tells whether the database has a table of this name. Any failure to find out is an error.
	HasTable func(ctx context.Context, db *DB, name string) (bool, error)
	// CopyAside writes a consistent copy of the database beside it, with this suffix, and returns where; it never
	// overwrites an earlier copy. It is nil where an engine has no such place.
	CopyAside func(ctx context.Context, db *DB, suffix string) (string, error)
	// CopyPages writes the database, as the transaction that reads on conn sees it, to a new file of its own, for
	// FinishFile. It is nil where an engine has no such files.
	CopyPages func(ctx context.Context, conn *sqlx.Conn, file string) error
	// Analyze looks at tables of which much has changed, so that the engine reads them the best way. It is nil where an
	// engine goes by its indexes alone.
	Analyze func(ctx context.Context, db *DB, tables []string) error
	// Files are the paths that the database takes on this host, whether or not they are there now. It is nil where the
	// engine keeps its own.
	Files func(s Settings) ([]string, error)
	// Size is the space that all tables and indexes take, in bytes.
	Size func(ctx context.Context, db *DB) (int64, error)
	// Vacuum gives unused space of the database's file back, while nobody else uses the database. It is nil where the
	// engine sees to that by itself.
	Vacuum func(ctx context.Context, db *DB) error
	// Classify sorts an error of the engine's driver.
	Classify func(err error) Class

	handles handles
	urls    urls
	// trimLog keeps the log of changes short before a transaction begins. It is nil where the engine sees to that by
	// itself.
	trimLog func(ctx context.Context, db *DB, conn *sqlx.Conn) error
	// inspect asks about one database.
	inspect func(ctx context.Context, db *DB) (Info, error)
	// together sends several statements of a transaction at once; it is nil where that saves nothing.
	together sendFunc
	// beginning are the statements that begin a transaction where several are sent at once.
	beginning func(s Settings) []Statement
	// explain adds to an error what the driver does not say; schema is true for a change to the schema.
	explain func(s Settings, err error, schema bool) error
	// same tells whether two handles of the engine lead to one database.
	same func(ctx context.Context, a, b *DB) (bool, error)
	// indexes selects name and definition of a table's indexes, but for that of its primary key.
	indexes string
}

type handles interface {
	open(ctx context.Context, s Settings) (writer, reader *sqlx.DB, err error)
	// name says which database it is, without secrets.
	name(s Settings) (string, error)
}

// urls are an engine's ways to name a database.
type urls interface {
	// claim tells whether a URL is meant for the engine, well-formed or not.
	claim(url string) bool
	// check returns ErrSettings for a URL that is malformed, and quotes nothing of it.
	check(url string) error
}

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
