package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestLostCommitsAreNoticed takes the database back to a state before the last commits, as a failover to a standby
// that lagged does.
func TestLostCommitsAreNoticed(t *testing.T) {
	for name, rewind := range map[string]string{
		"the last commit":                          "UPDATE counters SET value = value - 1 WHERE name = $1",
		"all commits of one transaction at a time": "DELETE FROM counters WHERE name = $1",
	} {
		for which, last := range map[string]bool{"last": true, "other": false} {
			t.Run(name+" by the "+which+" receipt", func(t *testing.T) {
				m := newMarks(t, enginetest.OpenThrough(t))
				// Two transactions at a time hold two receipts.
				m.transact(t, func() { m.transact(t, func() {}) })
				lost := m.receipts.free[0].counter
				if last {
					lost = m.receipts.free[1].counter
				}
				if _, err := m.DB.DB.Writer.ExecContext(t.Context(), rewind, lost); err != nil {
					t.Fatal(err)
				}

				err := m.Transact(t.Context(), "test", func(tx *Tx) error { return insertMark(t.Context(), tx, 1) })
				if !errors.Is(err, ErrRewound) {
					t.Errorf("the first transaction: %v", err)
				}
				m.requireMarks()

				again := func() error { t.Error("something was run once the loss had shown"); return nil }
				if err := m.Retry(t.Context(), "read", again); !errors.Is(err, ErrRewound) {
					t.Errorf("reading: %v", err)
				}
				if err := m.Transact(t.Context(), "test", func(*Tx) error { return again() }); !errors.Is(err, ErrRewound) {
					t.Errorf("another transaction: %v", err)
				}

				// Another handle takes the database as it is.
				other := New(m.DB.DB, Settings{})
				if err := other.Transact(t.Context(), "test", func(*Tx) error { return nil }); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestLostCommitsAreNoticedAfterAnInterruption has a transaction end with its context, so that its receipt is not used
// again. The receipt still shows that what it had committed before is lost.
func TestLostCommitsAreNoticedAfterAnInterruption(t *testing.T) {
	m := newMarks(t, enginetest.OpenThrough(t))
	m.transact(t, func() {})
	lost := m.receipts.free[0].counter

	ctx, cancel := context.WithCancel(t.Context())
	err := m.Transact(ctx, "test", func(*Tx) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || len(m.receipts.free) != 0 {
		t.Errorf("%v, and %d receipts", err, len(m.receipts.free))
	}

	if _, err := m.DB.DB.Writer.ExecContext(t.Context(), "DELETE FROM counters WHERE name = $1", lost); err != nil {
		t.Fatal(err)
	}
	err = m.Transact(t.Context(), "test", func(*Tx) error { return nil })
	if !errors.Is(err, ErrRewound) {
		t.Errorf("the next transaction: %v", err)
	}
}

// transact commits a transaction that does something else meanwhile.
func (m *marks) transact(t *testing.T, meanwhile func()) {
	t.Helper()
	err := m.Transact(t.Context(), "test", func(*Tx) error {
		meanwhile()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoCommitIsTakenForLost has many transactions at a time, some of which roll back or lose answers.
func TestNoCommitIsTakenForLost(t *testing.T) {
	losses := make([]chaos.Loss, 100)
	for i := range losses {
		losses[i] = []chaos.Loss{chaos.Nothing, chaos.Nothing, chaos.Answer, chaos.Nothing, chaos.Request}[i%5]
	}
	m := newMarks(t, enginetest.OpenThrough(t, losses...))
	errUndone := errors.New("undone")

	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := range 20 {
				undone := i%7 == 0
				err := m.Transact(t.Context(), "test", func(tx *Tx) error {
					if err := insertMark(t.Context(), tx, worker*100+i); err != nil || !undone {
						return err
					}
					return errUndone
				})
				if err != nil && !undone || undone && !errors.Is(err, errUndone) {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()

	var want []int
	for worker := range 8 {
		for i := range 20 {
			if i%7 != 0 {
				want = append(want, worker*100+i)
			}
		}
	}
	slices.Sort(want)
	m.requireMarks(want...)
}
