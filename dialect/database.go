package dialect

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jmoiron/sqlx"
)

// DB is an open database. Close it when done.
type DB struct {
	Dialect
	// Writer runs what changes rows, Reader what only reads; on some engines they are the same pool.
	Writer, Reader *sqlx.DB
	// Settings are those that it was opened with.
	Settings Settings
	Log      *slog.Logger
	// instance tells what this handle notifies others of from what it hears of them.
	instance string
	// seen are the statements that came before.
	seen *sync.Map
}

// Open opens the database that the settings name and proves that it answers. A database file that is absent is made.
// It returns ErrSettings when they name none, and ErrSchema when Server.Schema can't be used.
func Open(ctx context.Context, s Settings) (*DB, error) {
	d, err := s.Dialect()
	if err != nil {
		return nil, err
	}
	s = s.withDefaults()
	writer, reader, err := d.handles.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.describe(s), err)
	}
	return &DB{Dialect: d, Writer: writer, Reader: reader, Settings: s, Log: s.Log, instance: rand.Text(), seen: &sync.Map{}}, nil
}

// Brief gives the arguments of a statement that is about one row: it then takes one round trip, whether or not its
// connection knows it already. Where rows are many, or wide, it is better to learn their types first.
func (db *DB) Brief(args []any) []any {
	if db.brief == nil {
		return args
	}
	return append(db.brief(db.Settings), args...)
}

// BriefAtFirst does the same for a statement that may be about many rows, but only once for each text: if it comes again it
// is worth it to learn its types.
func (db *DB) BriefAtFirst(text string, args []any) []any {
	if _, seen := db.seen.LoadOrStore(text, true); seen {
		return args
	}
	return db.Brief(args)
}

// Warm opens connections that are about to be needed, several at once. It returns when they are there, or when that failed:
// whoever needs them tries again.
func (db *DB) Warm(ctx context.Context, n int) {
	if db.Reader != db.Writer {
		return // a file is open in no time
	}
	var opening sync.WaitGroup
	var conns [16]*sqlx.Conn
	for i := range min(n, len(conns), db.Settings.MaxOpenConns-1) {
		opening.Go(func() {
			if conn, err := db.Reader.Connx(ctx); err == nil {
				conns[i] = conn
			}
		})
	}
	opening.Wait()
	for _, conn := range conns {
		if conn != nil {
			_ = closeConn(conn)
		}
	}
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.Reader == db.Writer {
		return db.Writer.Close()
	}
	return errors.Join(db.Reader.Close(), db.Writer.Close())
}

// Describe says which database this is, without secrets.
func (db *DB) Describe() string { return db.describe(db.Settings) }

func (d Dialect) describe(s Settings) string {
	name, err := d.handles.name(s)
	if err != nil {
		return d.Title
	}
	return d.Title + " database " + name
}

// Tx is a transaction and the connection that it holds.
type Tx struct {
	*sqlx.Tx
	conn  *sqlx.Conn
	brief func(args []any) []any
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
	return &Tx{Tx: tx, conn: conn, brief: db.Brief}, nil
}

// Release gives the connection back to its pool.
func (tx *Tx) Release() error { return closeConn(tx.conn) }

// Discard closes the connection, for one that leads to a server which is of no use any more.
func (tx *Tx) Discard() error {
	discard(tx.conn)
	return closeConn(tx.conn)
}

func discard(conn *sqlx.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// closeConn gives a connection back to its pool, which has dropped it already if it broke.
func closeConn(conn *sqlx.Conn) error {
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}
