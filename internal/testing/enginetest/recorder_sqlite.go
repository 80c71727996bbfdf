package enginetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// recordSQLite replaces the handles of a database with ones that wrap them.
func recordSQLite(tb testing.TB, db *dialect.DB, to *Recorder) {
	tb.Helper()
	db.Writer, db.Reader = recordPool(tb, db.Writer, to, 1), recordPool(tb, db.Reader, to, 4)
}

func recordPool(tb testing.TB, pool *sqlx.DB, to *Recorder, connections int) *sqlx.DB {
	tb.Helper()
	wrapped := sqlx.NewDb(sql.OpenDB(&borrower{pool, to}), "sqlite")
	wrapped.SetMaxOpenConns(connections)
	closeWithTest(tb, wrapped)
	return wrapped
}

// borrower connects by taking connections out of another pool, which knows how to open them.
type borrower struct {
	pool     *sqlx.DB
	recorder *Recorder
}

func (b *borrower) Driver() driver.Driver { return b.pool.Driver() }

func (b *borrower) Connect(ctx context.Context) (driver.Conn, error) {
	lent, err := b.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}

	var conn fullConn
	err = lent.Raw(func(raw any) error {
		var ok bool
		if conn, ok = raw.(fullConn); !ok {
			return errors.New("the driver's connections lack methods")
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, lent.Close())
	}
	return &recordingConn{fullConn: conn, lent: lent, recorder: b.recorder}, nil
}

// fullConn is what database/sql uses of SQLite's connections.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type recordingConn struct {
	fullConn
	lent     *sql.Conn
	recorder *Recorder
	// inTx is true while a transaction is open.
	inTx bool
}

func (c *recordingConn) Close() error { return c.lent.Close() }

func (c *recordingConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.recorder.add("BEGIN")
	if err := c.recorder.life.check(); err != nil {
		return nil, err
	}
	tx, err := c.fullConn.BeginTx(ctx, options)
	c.inTx = err == nil
	return &recordingTx{tx, c}, err
}

// recordingTx counts commits.
type recordingTx struct {
	driver.Tx
	conn *recordingConn
}

func (t *recordingTx) Commit() error {
	if err := t.conn.recorder.life.check(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	t.conn.inTx = false
	err := t.Tx.Commit()
	if err == nil {
		t.conn.recorder.life.committed()
	}
	return err
}

func (t *recordingTx) Rollback() error {
	t.conn.inTx = false
	return t.Tx.Rollback()
}

// ran counts a statement that was committed by itself.
func (c *recordingConn) ran(query string, err error) {
	if err == nil && !c.inTx && writes(query) {
		c.recorder.life.committed()
	}
}

func (c *recordingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.recorder.add(query)
	if err := c.recorder.life.check(); err != nil {
		return nil, err
	}

	prepared, err := c.fullConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}

	statement, ok := prepared.(fullStmt)
	if !ok {
		return nil, errors.Join(errors.New("the driver's statements lack methods"), prepared.Close())
	}
	return &recordingStmt{statement, c.recorder}, nil
}

func (c *recordingConn) ExecContext(ctx context.Context, query string,
	args []driver.NamedValue) (driver.Result, error) {
	c.recorder.add(query)
	if err := c.recorder.life.check(); err != nil {
		return nil, err
	}
	result, err := c.fullConn.ExecContext(ctx, query, args)
	c.ran(query, err)
	return result, err
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.recorder.add(query)
	if err := c.recorder.life.check(); err != nil {
		return nil, err
	}
	rows, err := c.fullConn.QueryContext(ctx, query, args)
	c.ran(query, err)
	return rows, err
}

// fullStmt is what database/sql uses of SQLite's prepared statements.
type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type recordingStmt struct {
	fullStmt
	recorder *Recorder
}

func (s *recordingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.recorder.ran()
	return s.fullStmt.ExecContext(ctx, args)
}

func (s *recordingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.recorder.ran()
	return s.fullStmt.QueryContext(ctx, args)
}
