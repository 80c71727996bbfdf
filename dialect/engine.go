package dialect

import (
	"context"
	"database/sql"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Engine is implemented by every engine. It has no state: what an engine keeps for an open database is in DB.State.
// Callers use the methods of DB. These have the same names as the methods of Engine that take a handle.
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
	// Locate returns the name of the database that the settings name, without secrets.
	Locate(s Settings) (string, error)
}

// Connector opens databases.
type Connector interface {
	Connect(ctx context.Context, s Settings) (Pools, error)
}

// Pools are the connections of an open database.
type Pools struct {
	// Writer runs statements that change rows, and Reader those that only read. On some engines both are the same
	// pool.
	Writer, Reader *sqlx.DB
	// State is what the engine keeps beside the pools.
	State any
}

// Locker locks a database for its users, across processes and hosts.
type Locker interface {
	// LockUse keeps LockAll away until the lock is released or its process ends. Any number of processes may hold
	// it. It returns ErrLocked, with the holder, if another process has locked all.
	LockUse(ctx context.Context, db *DB) (Lock, error)
	// LockAll keeps all others away until the lock is released. It returns ErrLocked, with a holder, if another
	// process is at work.
	LockAll(ctx context.Context, db *DB) (Lock, error)
}

// Dialect has the parts of statements, and the ways to run them, that differ between engines. Facts has those that
// are mere text.
type Dialect interface {
	// Among returns the condition that a column is one of many keys.
	Among(column string, keys []int64) sq.Sqlizer
	// Probe makes a query read the rows of a table whose column is one of many keys. It looks up each key in an
	// index on that column, however many keys there are.
	Probe(query sq.SelectBuilder, table, column string, keys []int64) sq.SelectBuilder
	// Clock returns the time of the database's own clock at an offset from now, in microseconds since 1970.
	Clock(offset time.Duration) sq.Sqlizer
	// BulkInsert adds n rows within tx. The function row returns the i-th row, in a slice that is only used until
	// the next call.
	BulkInsert(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error
	// Classify sorts an error of the engine's driver.
	Classify(err error) Class
}

// Inspector looks at a database.
type Inspector interface {
	// HasTable reports whether the database has a table of this name. Any failure to find out is an error.
	HasTable(ctx context.Context, db *DB, name string) (bool, error)
	// IsEmpty reports whether the database has no tables except the one of this name.
	IsEmpty(ctx context.Context, db *DB, but string) (bool, error)
	// Size returns the space that all tables and indexes take, in bytes.
	Size(ctx context.Context, db *DB) (int64, error)
	// Inspect returns what the engine knows about itself and about the database.
	Inspect(ctx context.Context, db *DB) (Info, error)
	// Same reports whether two handles of the engine lead to one database, under any names.
	Same(ctx context.Context, a, b *DB) (bool, error)
}

// Changer changes schemas. The migrations themselves are in the directory of package migrate that has the engine's
// name.
type Changer interface {
	// LockSchema takes the lock that all migrating processes share, and prepares the connection for migrations. The
	// release function is nil if another process has the lock. The lock may belong to the connection: it is then
	// released when the connection is closed.
	LockSchema(ctx context.Context, conn *sqlx.Conn, s Settings, versionTable string) (release func() error, err error)
	// RunScript executes the script of a migration in the transaction that the connection is in. The error of a
	// statement is a *StatementError.
	RunScript(ctx context.Context, conn *sqlx.Conn, script Script) error
}

// Script is the script of a migration.
type Script struct {
	Text string
	// Statements are the statements of the text, in order.
	Statements []string
}

// StatementError is the error of one statement of a script.
type StatementError struct {
	// Done is the number of statements before the one that failed.
	Done int
	// Position is the character of the script at which the engine found the error, counted from 1, or 0.
	Position int
	Err      error
}

func (e *StatementError) Error() string { return e.Err.Error() }

func (e *StatementError) Unwrap() error { return e.Err }

// Facts are what an engine states about itself. Zero values are the defaults, except for Name, Title, Schemes,
// Forms, Placeholder and MadeIndexes, which every engine sets.
type Facts struct {
	// Name is the engine's name in the configuration, and the name of its directory of migrations.
	Name string
	// Title is the engine's name in messages.
	Title string
	// Schemes are the schemes of the engine's URLs, without the colon.
	Schemes []string
	// Forms are the ways to name a database, for messages.
	Forms []string
	// PlainParameters are the parameters of a URL that may be shown. Any other one may be a secret.
	PlainParameters []string
	// Server is true if databases are reached over a network. Then a connection may need a password, a commit may
	// have happened although its answer was lost, and a lock may be lost while its holder is at work.
	Server bool
	// PoolSize is the number of connections that the engine opens, whatever the settings. If it is 0, the settings
	// decide.
	PoolSize int
	// Snapshot has the options of a transaction that sees one state of the database for as long as it reads.
	Snapshot sql.TxOptions
	// Unhurried is the statement that lets a transaction idle without a limit, "" where any transaction may.
	Unhurried string
	// Placeholder is the format in which statements are rendered.
	Placeholder sq.PlaceholderFormat
	// ClaimLock ends the SELECT that claims a row which others may claim at the same time. It is "" where
	// transactions that write run one at a time.
	ClaimLock string
	// RowLock ends a SELECT whose row no other transaction may lock or change until this one ends. It is "" where
	// ClaimLock is.
	RowLock string
	// TableLock is a statement with %s for the name of a table, which no other transaction changes, or locks in the same
	// way, until this one ends. Reading it goes on. It is "" where there is one writer at a time.
	TableLock string
	// MadeIndexes selects the names and definitions of the indexes of a table that statements have made. Its one
	// parameter is the name of the table.
	MadeIndexes string
}

// LongestKey is the largest size in bytes of one text in an index entry, beside numbers: the smallest limit of all
// engines. PostgreSQL's B-trees take entries of up to a third of a page, 2,704 bytes with their headers.
const LongestKey = 2600
