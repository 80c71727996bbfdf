package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jmoiron/sqlx"
)

// Tx is a transaction and the connection that it holds. An engine that is a network away gets its statements several at
// a time: those given to Later wait for the next one that is run, and so does the beginning of the transaction.
type Tx struct {
	conn *sqlx.Conn
	// now runs statements one by one, sender several together; the other one is nil.
	now     *sqlx.Tx
	sender  Sender
	waiting []Statement
	begun   bool
}

// Statement changes rows, or reads one row of numbers.
type Statement struct {
	Text string
	Args []any
	// Values takes the numbers that it reads; it is nil for one that only changes rows.
	Values []int64
	// Check, if not nil, is called with the number of rows that were changed or read. Its error fails the transaction.
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

// Later runs a statement in its turn, at the latest before the next one that is run otherwise. Its Values are there,
// and its Check was called, when Flush returns without an error.
func (tx *Tx) Later(ctx context.Context, s Statement) error {
	if tx.now == nil {
		tx.waiting = append(tx.waiting, s)
		return nil
	}
	return s.run(ctx, tx.now)
}

// run runs the statement by itself.
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

// Places are where the driver puts the Values.
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

// Flush runs what was given to Later.
func (tx *Tx) Flush(ctx context.Context) error {
	if len(tx.waiting) == 0 {
		return nil
	}
	waiting := tx.waiting
	tx.waiting, tx.begun = nil, true
	return tx.sender.Send(ctx, tx.conn, waiting)
}

// session is what runs statements now.
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

// Conn returns the connection that the transaction holds, when all that was given to Later has run.
func (tx *Tx) Conn(ctx context.Context) (*sqlx.Conn, error) { return tx.conn, tx.Flush(ctx) }

// QueryxContext runs a query. Its rows have to be closed before anything else is run.
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

// Commit ends the transaction. What waits and has nothing to check is sent with it.
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

// Discard closes the connection, for one that leads to a server which is of no use any more.
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
