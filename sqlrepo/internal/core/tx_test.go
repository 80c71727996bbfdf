package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// marks is a database with a table whose references are checked by the commit.
type marks struct {
	*DB
	t *testing.T
}

func newMarks(t *testing.T, db *dialect.DB) *marks {
	t.Helper()
	m := &marks{New(db, Settings{RetryFor: time.Minute}), t}
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

func insertMark(ctx context.Context, tx *Tx, n int) error {
	_, err := tx.Exec(ctx, sq.Insert("marks").Columns("n").Values(n))
	return err
}

// eventually waits until there are so many marks, for as long as a commit may take.
func (m *marks) eventually(n int) {
	for range 100 {
		var found int
		err := m.DB.DB.Reader.GetContext(m.t.Context(), &found, "SELECT COUNT(*) FROM marks")
		if err == nil && found >= n {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (m *marks) requireMarks(want ...int) {
	m.t.Helper()
	var got []int
	if err := m.DB.DB.Reader.SelectContext(context.Background(), &got, "SELECT n FROM marks ORDER BY n"); err != nil {
		m.t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Errorf("rows %v, want %v", got, want)
	}
	if used := m.DB.DB.Writer.Stats().InUse; used != 0 {
		m.t.Errorf("%d connections are still in use", used)
	}
}

var errTest = errors.New("test")

func TestTransactEnds(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, tt := range []struct {
			name string
			fn   func(*Tx) error
			want error
			left []int
		}{
			{"committed", func(tx *Tx) error { return insertMark(ctx, tx, 1) }, nil, []int{1}},
			{"failed", func(tx *Tx) error { return errors.Join(insertMark(ctx, tx, 1), errTest) }, errTest, nil},
			{"constraint", func(tx *Tx) error {
				return errors.Join(insertMark(ctx, tx, 1), insertMark(ctx, tx, 1))
			}, ErrExists, nil},
			{"commit failed", func(tx *Tx) error {
				_, err := tx.Exec(ctx, sq.Insert("marks").Values(1, 2))
				return err
			}, ErrMissingReference, nil},
			{"cancelled", func(tx *Tx) error {
				err := insertMark(ctx, tx, 1)
				cancel()
				return err
			}, context.Canceled, nil},
			{"cancelled before", func(*Tx) error { return nil }, context.Canceled, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				m := newMarks(t, db)
				if err := m.Transact(ctx, "test", tt.fn); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				m.requireMarks(tt.left...)
			})
		}
	})
}

func TestTransactRollsBackPanic(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		m := newMarks(t, db)
		func() {
			defer func() {
				if reason := recover(); reason != errTest { //nolint:errorlint // a panic's value is no error's chain
					t.Errorf("recovered %v", reason)
				}
			}()
			_ = m.Transact(t.Context(), "test", func(tx *Tx) error {
				if err := insertMark(t.Context(), tx, 1); err != nil {
					t.Error(err)
				}
				panic(errTest)
			})
		}()
		m.requireMarks()
	})
}

func TestTransactRunsAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected := range enginetest.Passing(t, db.Name) {
			m, attempts := newMarks(t, db), 0
			err := m.Transact(t.Context(), "test", func(tx *Tx) error {
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

func TestTransactRunsOnceWhatIsFinal(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for _, final := range []error{errTest, ErrNotFound, &pgconn.PgError{Code: "23505"}, io.ErrShortWrite} {
			m, attempts := newMarks(t, db), 0
			err := m.Transact(t.Context(), "doing this", func(*Tx) error {
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
		for injected, class := range enginetest.Passing(t, db.Name) {
			for limit, least := range map[time.Duration]int{0: 1, 50 * time.Millisecond: 2} {
				m, attempts, began := newMarks(t, db), 0, time.Now()
				m.retryFor = limit
				err := m.Transact(t.Context(), "test", func(*Tx) error {
					attempts++
					return injected
				})
				if !errors.Is(err, sentinels[class]) || !errors.Is(err, injected) ||
					attempts < least || limit == 0 && attempts > 1 {
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
		for injected := range enginetest.Passing(t, db.Name) {
			m := newMarks(t, db)
			m.backoff = time.Hour
			ctx, cancel := context.WithCancelCause(t.Context())
			err := m.Transact(ctx, "test", func(*Tx) error {
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
		for injected := range enginetest.Passing(t, db.Name) {
			m, attempts := newMarks(t, db), 0
			err := m.Retry(t.Context(), "test", func() error {
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
	if err := Affected(1, errTest); err != nil {
		t.Errorf("one row: %v", err)
	}
	if err := Affected(0, errTest); !errors.Is(err, errTest) {
		t.Errorf("no row: %v", err)
	}
	if err := Affected(2, errTest); err == nil || errors.Is(err, errTest) {
		t.Errorf("two rows: %v", err)
	}
}
