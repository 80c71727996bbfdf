package core

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Queryer reads rows: from a pool, in a transaction, or in a snapshot.
type Queryer interface {
	// Get reads exactly one row, or returns ErrNotFound.
	Get(ctx context.Context, dest any, statement sq.Sqlizer) error
	// List reads all rows into the slice that dest points to.
	List(ctx context.Context, dest any, statement sq.Sqlizer) error
	// Stream passes the rows to take, one at a time.
	Stream(ctx context.Context, statement sq.Sqlizer, take func(*sqlx.Rows) error) error
}

// Session renders statements and runs them one by one.
type Session struct {
	conn interface {
		sqlx.ExecerContext
		GetContext(ctx context.Context, dest any, text string, args ...any) error
		SelectContext(ctx context.Context, dest any, text string, args ...any) error
		QueryxContext(ctx context.Context, text string, args ...any) (*sqlx.Rows, error)
	}
	placeholder sq.PlaceholderFormat
}

// render turns a statement into text. It is the only place that sets placeholders.
func (s Session) render(statement sq.Sqlizer) (string, []any, error) {
	text, args, err := statement.ToSql()
	if err != nil {
		return "", nil, fmt.Errorf("build statement: %w", err)
	}
	text, err = s.placeholder.ReplacePlaceholders(text)
	return text, args, err
}

// Get implements Queryer.
func (s Session) Get(ctx context.Context, dest any, statement sq.Sqlizer) error {
	text, args, err := s.render(statement)
	if err != nil {
		return err
	}
	err = s.conn.GetContext(ctx, dest, text, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// List implements Queryer.
func (s Session) List(ctx context.Context, dest any, statement sq.Sqlizer) error {
	text, args, err := s.render(statement)
	if err != nil {
		return err
	}
	return s.conn.SelectContext(ctx, dest, text, args...)
}

// Stream implements Queryer.
func (s Session) Stream(ctx context.Context, statement sq.Sqlizer, take func(*sqlx.Rows) error) error {
	text, args, err := s.render(statement)
	if err != nil {
		return err
	}
	rows, err := s.conn.QueryxContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error

	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Exec returns how many rows the statement changed.
func (s Session) Exec(ctx context.Context, statement sq.Sqlizer) (int64, error) {
	text, args, err := s.render(statement)
	if err != nil {
		return 0, err
	}
	result, err := s.conn.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
