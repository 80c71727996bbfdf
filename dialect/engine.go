package dialect

import (
	"context"
	"database/sql"
	"time"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Engine is what every engine does. It has no state: what an engine keeps of an open database is in DB.State. Callers
// use the methods of DB, which have the same names where an engine is given a handle.
type Engine interface {
	Facts() Facts
	Locator
	Connector
	Locker
	Dialect
	Inspector
	Changer
}

// Locator finds the databases of an engine by their names.
type Locator interface {
	// Claims reports whether settings without a type are meant for the engine, well-formed or not. Engines are asked in
	// the order in which they were registered.
	Claims(s Settings) bool
	// CheckURL returns ErrSettings for a URL, path or connection string that is malformed, and quotes nothing of it.
	CheckURL(location string) error
	// Locate returns which database the settings name, without secrets.
	Locate(s Settings) (string, error)
}

// Connector opens databases.
type Connector interface {
	Connect(ctx context.Context, s Settings) (Pools, error)
}

// Pools are the connections of an open database.
type Pools struct {
	// Writer runs what changes rows, Reader what only reads; on some engines they are the same pool.
	Writer, Reader *sqlx.DB
	// State is what the engine keeps beside them.
	State any
}

// Locker locks a database for its users, across processes and hosts.
type Locker interface {
	// LockUse keeps LockAll away until the lock is released or its process ends; any number may hold it. It returns
	// ErrLocked, with the holder, when somebody has locked all.
	LockUse(ctx context.Context, db *DB) (Lock, error)
	// LockAll keeps everybody else away until the lock is released. It returns ErrLocked, with a holder, when somebody
	// is at work.
	LockAll(ctx context.Context, db *DB) (Lock, error)
}

// Dialect has the parts of statements, and the ways to run them, that engines do not share. See Facts for those that
// are mere text.
type Dialect interface {
	// Among is the condition that a column is one of many keys.
	Among(column string, keys []int64) squirrel.Sqlizer
	// Probe makes a query read the rows of a table whose column is one of many keys, by looking up each key in an index
	// on that column however many there are.
	Probe(query squirrel.SelectBuilder, table, column string, keys []int64) squirrel.SelectBuilder
	// Clock is the time of the database's own clock at an offset from now, in microseconds since 1970.
	Clock(offset time.Duration) squirrel.Sqlizer
	// BulkInsert adds many rows within tx; row returns the i-th, in a slice that is used until the next call.
	BulkInsert(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error
	// Classify sorts an error of the engine's driver.
	Classify(err error) Class
}

// Inspector looks at a database.
type Inspector interface {
	// HasTable reports whether the database has a table of this name. Any failure to find out is an error.
	HasTable(ctx context.Context, db *DB, name string) (bool, error)
	// IsEmpty reports whether the database has no tables but the one of this name.
	IsEmpty(ctx context.Context, db *DB, but string) (bool, error)
	// Size returns the space that all tables and indexes take, in bytes.
	Size(ctx context.Context, db *DB) (int64, error)
	// Inspect returns what the engine knows of itself and of the database.
	Inspect(ctx context.Context, db *DB) (Info, error)
	// Same reports whether two handles of the engine lead to one database, by whatever names.
	Same(ctx context.Context, a, b *DB) (bool, error)
}

// Changer changes schemas. The migrations themselves are in the directory of package migrate that has the engine's
// name.
type Changer interface {
	// LockSchema takes the lock that all migrating processes share, and prepares the connection for migrations. It
	// returns no release function if another process has the lock. The lock may be the connection's: it is released
	// once the connection is closed.
	LockSchema(ctx context.Context, conn *sqlx.Conn, s Settings, versionTable string) (release func() error, err error)
	// RunScript executes the script of a migration in the transaction that the connection is in. The error of a
	// statement is a *StatementError.
	RunScript(ctx context.Context, conn *sqlx.Conn, script Script) error
}

// Script is a migration's.
type Script struct {
	Text string
	// Statements are those that the text has, in their order.
	Statements []string
}

// StatementError is the error of a statement of a script.
type StatementError struct {
	// Done is the number of statements before the one that failed.
	Done int
	// Position is the character of the script at which the engine found the error, counted from 1, or 0.
	Position int
	Err      error
}

func (e *StatementError) Error() string { return e.Err.Error() }

func (e *StatementError) Unwrap() error { return e.Err }

// Facts are what an engine states of itself. Zero values are the defaults, except for Name, Title, Schemes, Forms,
// Placeholder and MadeIndexes, which every engine has.
type Facts struct {
	// Name is the engine's name in the configuration, and that of its directory of migrations.
	Name string
	// Title is the engine's name in messages.
	Title string
	// Schemes are what the engine's URLs begin with, before the colon.
	Schemes []string
	// Forms are the ways to name a database, for messages.
	Forms []string
	// PlainParameters are the parameters of a URL that may be shown. Any other one may be a secret.
	PlainParameters []string
	// Server means that databases are reached over a network: a connection may need a password, a commit may fail for
	// want of an answer and have happened all the same, and a lock may be lost while its holder is at work.
	Server bool
	// PoolSize is the number of connections that the engine opens whatever the settings; 0 leaves it to them.
	PoolSize int
	// Snapshot are the options of a transaction that sees one state of the database for as long as it reads.
	Snapshot sql.TxOptions
	// Unhurried is what a transaction executes that may idle for as long as it likes, "" where any may.
	Unhurried string
	// Placeholder is the format in which statements are rendered.
	Placeholder squirrel.PlaceholderFormat
	// ClaimLock ends the SELECT that claims a row which others may claim at the same time, "" where transactions that
	// write run one at a time.
	ClaimLock string
	// RowLock ends a SELECT whose row nobody else may lock or change until the transaction ends, "" as for ClaimLock.
	RowLock string
	// MadeIndexes selects name and definition of the indexes of a table that statements have made. Its one parameter is
	// the table's name.
	MadeIndexes string
}

// LongestKey is the most bytes that one text of an index may have, beside numbers: the smallest of what engines can
// index. PostgreSQL's B-trees take entries of up to a third of a page, 2,704 bytes with their headers.
const LongestKey = 2600
