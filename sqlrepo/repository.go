package sqlrepo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// DefaultRetryFor is how long a transaction is retried while the database can't be reached or is busy.
const DefaultRetryFor = 10 * time.Minute

// Repository is the preparation repository in one database. It is safe for concurrent use.
type Repository struct {
	db       *dialect.DB
	now      func() time.Time
	clock    func() time.Time
	retryFor time.Duration
	backoff  time.Duration
	outage   outage
	receipts receipts
	late     lateClaims
}

// Option changes how a Repository works.
type Option func(*Repository)

// WithClock sets the source of all times, including those of leases, which otherwise come from the database's
// clock.
func WithClock(now func() time.Time) Option {
	return func(r *Repository) { r.now, r.clock = now, now }
}

// WithRetryFor sets how long a transaction is retried while the database can't be reached or is busy.
func WithRetryFor(limit time.Duration) Option { return func(r *Repository) { r.retryFor = limit } }

// New returns the repository in an open database whose schema is up to date. The caller closes db.
func New(db *dialect.DB, options ...Option) *Repository {
	r := &Repository{db: db, now: time.Now, retryFor: DefaultRetryFor, backoff: firstBackoff}
	for _, option := range options {
		option(r)
	}
	db.Mark = r.lockMark
	return r
}

// queryer is a pool or a transaction.
type queryer interface {
	GetContext(ctx context.Context, dest any, text string, args ...any) error
	SelectContext(ctx context.Context, dest any, text string, args ...any) error
}

// Analyze makes the engine look at the large tables after much has changed in them.
func (r *Repository) Analyze(ctx context.Context) error {
	return r.read(ctx, "analyze tables", func() error {
		return r.db.Analyze(ctx, []string{"entries", "shards", "segments", "nodes", "roots"})
	})
}

// render turns a statement into text. It is the only place that sets placeholders.
func (r *Repository) render(statement sq.Sqlizer) (string, []any, error) {
	text, args, err := statement.ToSql()
	if err != nil {
		return "", nil, fmt.Errorf("build statement: %w", err)
	}
	text, err = r.db.Placeholder.ReplacePlaceholders(text)
	return text, args, err
}

// get reads exactly one row, or returns ErrNotFound.
func (r *Repository) get(ctx context.Context, q queryer, dest any, statement sq.Sqlizer) error {
	text, args, err := r.render(statement)
	if err != nil {
		return err
	}
	err = q.GetContext(ctx, dest, text, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func (r *Repository) list(ctx context.Context, q queryer, dest any, statement sq.Sqlizer) error {
	text, args, err := r.render(statement)
	if err != nil {
		return err
	}
	return q.SelectContext(ctx, dest, text, args...)
}

// readList is list outside of a transaction. It retries while the database is away.
func (r *Repository) readList(ctx context.Context, doing string, dest any, statement sq.Sqlizer) error {
	return r.read(ctx, doing, func() error { return r.list(ctx, r.db.Reader, dest, statement) })
}

// rowQueryer is a pool or a transaction that returns rows one by one.
type rowQueryer interface {
	QueryxContext(ctx context.Context, text string, args ...any) (*sqlx.Rows, error)
}

// stream passes each row of a query to take, one at a time.
func (r *Repository) stream(ctx context.Context, q rowQueryer, query sq.Sqlizer,
	take func(*sqlx.Rows) error) error {
	text, args, err := r.render(query)
	if err != nil {
		return err
	}
	rows, err := q.QueryxContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec returns how many rows the statement changed.
func (r *Repository) exec(ctx context.Context, tx sqlx.ExecerContext, statement sq.Sqlizer) (int64, error) {
	text, args, err := r.render(statement)
	if err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// later queues a statement to run with those that follow. check, if not nil, gets the number of rows that it
// changed.
func (r *Repository) later(ctx context.Context, tx *dialect.Tx, statement sq.Sqlizer,
	check func(rows int64) error) error {
	return r.laterRead(ctx, tx, nil, statement, check)
}

// laterRead is later for a statement that reads a row of numbers into values.
func (r *Repository) laterRead(ctx context.Context, tx *dialect.Tx, values []int64, statement sq.Sqlizer,
	check func(rows int64) error) error {
	text, args, err := r.render(statement)
	if err != nil {
		return err
	}
	return tx.Later(ctx, dialect.Statement{Text: text, Args: args, Values: values, Check: check})
}

// nextIDs takes n keys from a counter and returns the first. A rollback of tx gives them back.
func (r *Repository) nextIDs(ctx context.Context, tx *dialect.Tx, counter string, n int) (int64, error) {
	last := make([]int64, 1)
	err := r.readNow(ctx, tx, last, raised(counter, n))
	return last[0] - int64(n) + 1, err
}

// readNow runs a statement after all queued ones, and reads a row of numbers into values.
func (r *Repository) readNow(ctx context.Context, tx *dialect.Tx, values []int64, statement sq.Sqlizer) error {
	if err := r.laterRead(ctx, tx, values, statement, nil); err != nil {
		return err
	}
	return tx.Flush(ctx)
}

// raised is the statement that raises a counter and returns its new value.
func raised(counter string, n int) sq.Sqlizer {
	return sq.Insert("counters").Columns("name", "value").Values(counter, n).
		Suffix("ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value")
}

func columnList(columns []string) string { return strings.Join(columns, ", ") }

// within matches rows whose column has one of the values that a query returns.
func within(column string, query sq.SelectBuilder) sq.Sqlizer {
	return sq.ConcatExpr(column+" IN (", query, ")")
}
