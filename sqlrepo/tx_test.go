package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// marksRepo is a repository with a table of its own, whose references are checked by the commit.
type marksRepo struct {
	*Repository
	t *testing.T
}

func newMarks(t *testing.T, db *dialect.DB, options ...Option) *marksRepo {
	t.Helper()
	m := &marksRepo{New(db, options...), t}
	m.backoff = time.Millisecond
	for _, statement := range []string{
		"DROP TABLE IF EXISTS marks",
		"CREATE TABLE marks (n BIGINT PRIMARY KEY, next BIGINT REFERENCES marks (n) DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func insertMark(ctx context.Context, tx *dialect.Tx, n int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO marks (n) VALUES (%d)", n))
	return err
}

// eventually waits until there are so many marks, for as long as a commit may take.
func (m *marksRepo) eventually(n int) {
	for range 100 {
		var found int
		err := m.db.Reader.GetContext(m.t.Context(), &found, "SELECT COUNT(*) FROM marks")
		if err == nil && found >= n {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (m *marksRepo) requireMarks(want ...int) {
	m.t.Helper()
	var got []int
	if err := m.db.Reader.SelectContext(context.Background(), &got, "SELECT n FROM marks ORDER BY n"); err != nil {
		m.t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Errorf("rows %v, want %v", got, want)
	}
	if used := m.db.Writer.Stats().InUse; used != 0 {
		m.t.Errorf("%d connections are still in use", used)
	}
}

var errTest = errors.New("test")

func TestWithTxEnds(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, tt := range []struct {
			name string
			fn   func(*dialect.Tx) error
			want error
			left []int
		}{
			{"committed", func(tx *dialect.Tx) error { return insertMark(ctx, tx, 1) }, nil, []int{1}},
			{"failed", func(tx *dialect.Tx) error { return errors.Join(insertMark(ctx, tx, 1), errTest) }, errTest, nil},
			{"constraint", func(tx *dialect.Tx) error {
				return errors.Join(insertMark(ctx, tx, 1), insertMark(ctx, tx, 1))
			}, ErrExists, nil},
			{"commit failed", func(tx *dialect.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO marks VALUES (1, 2)")
				return err
			}, ErrMissingReference, nil},
			{"cancelled", func(tx *dialect.Tx) error {
				err := insertMark(ctx, tx, 1)
				cancel()
				return err
			}, context.Canceled, nil},
			{"cancelled before", func(*dialect.Tx) error { return nil }, context.Canceled, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				m := newMarks(t, db)
				if err := m.withTx(ctx, "test", tt.fn); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				m.requireMarks(tt.left...)
			})
		}
	})
}

func TestWithTxRollsBackPanic(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		m := newMarks(t, db)
		func() {
			defer func() {
				if reason := recover(); reason != errTest { //nolint:errorlint // a panic's value is no error's chain
					t.Errorf("recovered %v", reason)
				}
			}()
			_ = m.withTx(t.Context(), "test", func(tx *dialect.Tx) error {
				if err := insertMark(t.Context(), tx, 1); err != nil {
					t.Error(err)
				}
				panic(errTest)
			})
		}()
		m.requireMarks()
	})
}

// retryable are errors of an engine, by its name, that pass when the transaction is run again.
func retryable(t *testing.T, engine string) map[error]error {
	t.Helper()
	if engine == sqlite.Name {
		return map[error]error{busy(t): ErrConflict}
	}
	errs := map[error]error{io.ErrUnexpectedEOF: ErrUnavailable}
	for code, sentinel := range map[string]error{
		"40001": ErrConflict, "40P01": ErrConflict, "57P01": ErrUnavailable, "08006": ErrUnavailable, "25006": ErrUnavailable,
	} {
		errs[&pgconn.PgError{Code: code}] = sentinel
	}
	return errs
}

// busy is SQLite's own error for a database that another process writes.
func busy(t *testing.T) error {
	t.Helper()
	file := dialect.Secret(filepath.Join(t.TempDir(), "busy.db"))
	first := enginetest.MustOpen(t, dialect.Settings{URL: file})
	hasty := sqlite.Options{BusyTimeout: time.Millisecond}
	second := enginetest.MustOpen(t, dialect.Settings{URL: file, Options: []any{hasty}})
	tx, err := first.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(tx.Rollback(t.Context()), tx.Release()) }()
	_, err = second.Begin(t.Context())
	if second.Classify(err) != dialect.Conflict {
		t.Fatalf("not busy: %v", err)
	}
	return err
}

func TestWithTxRunsAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected := range retryable(t, db.Name) {
			m, attempts := newMarks(t, db), 0
			err := m.withTx(t.Context(), "test", func(tx *dialect.Tx) error {
				attempts++
				if err := insertMark(t.Context(), tx, attempts); err != nil || attempts == 3 {
					return err
				}
				return fmt.Errorf("attempt %d: %w", attempts, injected)
			})
			if err != nil || attempts != 3 {
				t.Errorf("%v: %d attempts, %v", injected, attempts, err)
			}
			m.requireMarks(3)
		}
	})
}

func TestWithTxRunsOnceWhatIsFinal(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for _, final := range []error{errTest, ErrNotFound, ErrLeaseLost, &pgconn.PgError{Code: "23505"}, io.ErrShortWrite} {
			m, attempts := newMarks(t, db), 0
			err := m.withTx(t.Context(), "doing this", func(*dialect.Tx) error {
				attempts++
				return final
			})
			if !errors.Is(err, final) || attempts != 1 || !strings.Contains(err.Error(), "doing this") {
				t.Errorf("%d attempts, %v", attempts, err)
			}
		}
	})
}

func TestRetryGivesUp(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected, sentinel := range retryable(t, db.Name) {
			for limit, least := range map[time.Duration]int{0: 1, 50 * time.Millisecond: 2} {
				m, attempts, began := newMarks(t, db, WithRetryFor(limit)), 0, time.Now()
				err := m.withTx(t.Context(), "test", func(*dialect.Tx) error {
					attempts++
					return injected
				})
				if !errors.Is(err, sentinel) || !errors.Is(err, injected) || attempts < least || limit == 0 && attempts > 1 {
					t.Errorf("limit %v: %d attempts, %v", limit, attempts, err)
				}
				if took := time.Since(began); took < limit || took > 5*time.Second {
					t.Errorf("limit %v: gave up after %v", limit, took)
				}
			}
		}
	})
}

func TestRetryWaitEndsWithContext(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected := range retryable(t, db.Name) {
			m := newMarks(t, db)
			m.backoff = time.Hour
			ctx, cancel := context.WithCancelCause(t.Context())
			err := m.withTx(ctx, "test", func(*dialect.Tx) error {
				time.AfterFunc(20*time.Millisecond, func() { cancel(errTest) })
				return injected
			})
			for _, want := range []error{context.Canceled, errTest, injected} {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
		}
	})
}

func TestReadRunsAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected := range retryable(t, db.Name) {
			m, attempts := newMarks(t, db), 0
			err := m.read(t.Context(), "test", func() error {
				if attempts++; attempts < 4 {
					return injected
				}
				return nil
			})
			if err != nil || attempts != 4 {
				t.Errorf("%v: %d attempts, %v", injected, attempts, err)
			}
		}
	})
}

func TestAffectedTellsNoneFromMany(t *testing.T) {
	if err := affected(1, errTest); err != nil {
		t.Errorf("one row: %v", err)
	}
	if err := affected(0, errTest); !errors.Is(err, errTest) {
		t.Errorf("no row: %v", err)
	}
	if err := affected(2, errTest); err == nil || errors.Is(err, errTest) {
		t.Errorf("two rows: %v", err)
	}
}
