package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jmoiron/sqlx"
)

// Tx is a transaction and the connection that it holds. On an engine that is a network away, statements are sent
// several at a time: those given to Later wait for the next one that is run, and so does the beginning of the
// transaction.
type Tx struct {
	conn *sqlx.Conn
	// now runs statements one by one, and sender runs several together. One of the two is nil.
	now     *sqlx.Tx
	sender  Sender
	waiting []Statement
	begun   bool
}

// Statement changes rows, or reads one row of numbers.
type Statement struct {
	Text string
	Args []any
	// Values receives the numbers that the statement reads. It is nil for a statement that only changes rows.
	Values []int64
	// Check, if not nil, is called with the number of rows changed or read. Its error fails the transaction.
	Check func(rows int64) error
}

// Begin starts a transaction for writing, which proves the locks of the handle. The caller ends it with Commit or
// Rollback, then calls Release.
func (db *DB) Begin(ctx context.Context) (*Tx, error) {
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return nil, err
	}

	if sender, able := db.Engine.(Sender); able {
		proofs, err := db.proofs()
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		waiting := append(sender.Beginning(db.Settings), proofs...)
		return &Tx{conn: conn, sender: sender, waiting: waiting}, nil
	}

	if err := db.trimLog(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}

	tx, err := conn.BeginTxx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Tx{conn: conn, now: tx}, nil
}

// Later runs a statement in its turn, at the latest before the next one that is run otherwise. When Flush returns
// without an error, its Values are set and its Check was called.
func (tx *Tx) Later(ctx context.Context, s Statement) error {
	if tx.now == nil {
		tx.waiting = append(tx.waiting, s)
		return nil
	}
	return s.run(ctx, tx.now)
}

// run runs a single statement.
func (s Statement) run(ctx context.Context, tx *sqlx.Tx) error {
	if s.Values == nil {
		result, err := tx.ExecContext(ctx, s.Text, s.Args...)
		if err != nil {
			return err
		}

		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		return s.CheckRows(rows)
	}

	err := tx.QueryRowxContext(ctx, s.Text, s.Args...).Scan(s.Places()...)
	if errors.Is(err, sql.ErrNoRows) {
		return s.CheckRows(0)
	}
	if err != nil {
		return err
	}
	return s.CheckRows(1)
}

// Places returns pointers to the Values, for the driver to scan into.
func (s Statement) Places() []any {
	places := make([]any, len(s.Values))
	for i := range s.Values {
		places[i] = &s.Values[i]
	}
	return places
}

// CheckRows calls Check, if there is one.
func (s Statement) CheckRows(rows int64) error {
	if s.Check == nil {
		return nil
	}
	return s.Check(rows)
}

// Flush runs the statements given to Later.
func (tx *Tx) Flush(ctx context.Context) error {
	if len(tx.waiting) == 0 {
		return nil
	}
	waiting := tx.waiting
	tx.waiting, tx.begun = nil, true
	return tx.sender.Send(ctx, tx.conn, waiting)
}

// session returns the object that runs statements now.
func (tx *Tx) session() interface {
	sqlx.ExecerContext
	sqlx.QueryerContext
	sqlx.PreparerContext
} {
	if tx.now != nil {
		return tx.now
	}
	return tx.conn
}

// ExecContext runs a statement.
func (tx *Tx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := tx.Flush(ctx); err != nil {
		return nil, err
	}
	return tx.session().ExecContext(ctx, text, args...)
}

// PrepareContext prepares a statement that is run many times.
func (tx *Tx) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	if err := tx.Flush(ctx); err != nil {
		return nil, err
	}
	return tx.session().PrepareContext(ctx, text)
}

// Conn runs the statements given to Later and returns the connection that the transaction holds.
func (tx *Tx) Conn(ctx context.Context) (*sqlx.Conn, error) { return tx.conn, tx.Flush(ctx) }

// QueryxContext runs a query. Its rows must be closed before any other statement is run.
func (tx *Tx) QueryxContext(ctx context.Context, text string, args ...any) (*sqlx.Rows, error) {
	if err := tx.Flush(ctx); err != nil {
		return nil, err
	}
	return tx.session().QueryxContext(ctx, text, args...)
}

// GetContext reads one row into dest, or returns sql.ErrNoRows.
func (tx *Tx) GetContext(ctx context.Context, dest any, text string, args ...any) error {
	if err := tx.Flush(ctx); err != nil {
		return err
	}
	return sqlx.GetContext(ctx, tx.session(), dest, text, args...)
}

// SelectContext reads all rows into the slice that dest points to.
func (tx *Tx) SelectContext(ctx context.Context, dest any, text string, args ...any) error {
	if err := tx.Flush(ctx); err != nil {
		return err
	}
	return sqlx.SelectContext(ctx, tx.session(), dest, text, args...)
}

// Commit ends the transaction. Waiting statements without a result to check are sent together with the commit.
func (tx *Tx) Commit(ctx context.Context) error {
	if tx.now != nil {
		return tx.now.Commit()
	}

	for _, s := range tx.waiting {
		if s.Values != nil || s.Check != nil {
			if err := tx.Flush(ctx); err != nil {
				return err
			}
			break
		}
	}
	tx.waiting = append(tx.waiting, Statement{Text: "commit"})
	return tx.Flush(ctx)
}

// Rollback undoes the transaction.
func (tx *Tx) Rollback(ctx context.Context) error {
	tx.waiting = nil
	if tx.now != nil {
		return tx.now.Rollback()
	}
	if !tx.begun {
		return nil
	}
	_, err := tx.conn.ExecContext(ctx, "rollback")
	return err
}

// Release gives the connection back to its pool, which drops it if the transaction has not ended.
func (tx *Tx) Release() error { return closeConn(tx.conn) }

// Discard closes the connection instead of giving it back, because its server is useless.
func (tx *Tx) Discard() error { return Drop(tx.conn) }

// Drop closes a connection instead of giving it back to its pool.
func Drop(conn *sqlx.Conn) error {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	return closeConn(conn)
}

// closeConn gives a connection back to its pool, which has dropped it already if it broke.
func closeConn(conn *sqlx.Conn) error {
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}
