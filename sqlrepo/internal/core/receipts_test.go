package core

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestCommitWithoutAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		faults   []chaos.Loss
		attempts int
		// commits is how many there were, with one that confirms a commit without an answer.
		commits int64
	}{
		"answer lost":        {[]chaos.Loss{chaos.Answer}, 1, 4},
		"request lost":       {[]chaos.Loss{chaos.Request}, 2, 3},
		"request lost twice": {[]chaos.Loss{chaos.Request, chaos.Request}, 3, 3},
		"both lost":          {[]chaos.Loss{chaos.Request, chaos.Answer}, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarks(t, enginetest.OpenThrough(t, append([]chaos.Loss{chaos.Nothing, chaos.Nothing}, tt.faults...)...))
			for n := range 2 {
				err := m.Transact(t.Context(), "test", func(tx *Tx) error { return insertMark(t.Context(), tx, n) })
				if err != nil {
					t.Fatal(err)
				}
			}
			attempts := 0
			err := m.Transact(t.Context(), "test", func(tx *Tx) error {
				attempts++
				return insertMark(t.Context(), tx, 10*attempts)
			})
			if err != nil || attempts != tt.attempts {
				t.Errorf("%d attempts, %v", attempts, err)
			}
			m.requireMarks(0, 1, 10*tt.attempts)
			if commits := m.receipts.free[0].value; commits != tt.commits {
				t.Errorf("%d commits, want %d", commits, tt.commits)
			}
		})
	}
}

// TestConfirmationWithoutAnswer loses the answer to a commit, and then the answer to the one that confirms it, or its
// request.
func TestConfirmationWithoutAnswer(t *testing.T) {
	for _, loss := range []chaos.Loss{chaos.Answer, chaos.Request} {
		location := pgtest.URL(t)
		enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(location)})
		relay, commits := chaos.StartRelay(t, location), 0
		db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(relay.URL())})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })

		m := newMarks(t, db)
		relay.Lose(func(statements []string) chaos.Loss {
			if !strings.Contains(strings.Join(statements, ";"), CounterTable) {
				return chaos.Nothing
			}
			commits++
			return map[int]chaos.Loss{2: chaos.Answer, 3: loss}[commits]
		})

		for n := range 3 {
			err := m.Transact(t.Context(), "test", func(tx *Tx) error { return insertMark(t.Context(), tx, n) })
			if err != nil {
				t.Error(err)
			}
		}
		m.requireMarks(0, 1, 2)
		if commits != 5 {
			t.Errorf("%d commits", commits)
		}
	}
}

// A server that crashes gives the numbers of transactions that it lost to others.
func TestReceiptOutlivesCrash(t *testing.T) {
	server := pgtest.Start(t)
	m := newMarks(t, enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())}))
	attempts := 0
	err := m.Transact(t.Context(), "test", func(tx *Tx) error {
		if attempts++; attempts > 1 {
			return insertMark(t.Context(), tx, attempts)
		}
		if err := insertMark(t.Context(), tx, attempts); err != nil {
			return err
		}
		server.Stop(pgtest.Immediate)
		server.Start()
		return m.Transact(t.Context(), "another", func(tx *Tx) error { return insertMark(t.Context(), tx, 100) })
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	m.requireMarks(2, 100)
}

func TestReceiptsAreUsedAgainAndForgotten(t *testing.T) {
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(pgtest.URL(t))})
	count := func() (n int) {
		const query = "SELECT COUNT(*) FROM counters WHERE name LIKE 'receipt-%'"
		if err := db.Reader.GetContext(t.Context(), &n, query); err != nil {
			t.Fatal(err)
		}
		return n
	}
	now := time.Now()
	later := func(days int) { now = now.AddDate(0, 0, days) }
	settings := Settings{RetryFor: time.Minute, Clock: func() time.Time { return now }}
	early, late := New(db, settings), New(db, settings)
	use := func(db *DB, want error) {
		t.Helper()
		if err := db.Transact(t.Context(), "test", func(*Tx) error { return want }); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	for range 5 {
		use(early, nil)
		use(early, ErrExists)
	}
	if n := count(); n != 1 {
		t.Errorf("%d receipts after one transaction at a time", n)
	}
	later(receiptUse + 1)
	use(early, nil)
	if n := count(); n != 2 {
		t.Errorf("%d receipts once the first one is no longer used", n)
	}

	later(receiptLifetime + 1)
	use(late, nil)
	if n := count(); n != 1 {
		t.Errorf("%d receipts, the old ones among them", n)
	}
	for range 2 {
		use(early, nil)
	}
	if n := count(); n != 2 {
		t.Errorf("%d receipts after each has one that is not old", n)
	}
}

// TestAHostsClockRemovesNoReceipts has a host's own clock be weeks ahead, or behind: receipts go by the database's.
func TestAHostsClockRemovesNoReceipts(t *testing.T) {
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(pgtest.URL(t))})
	use := func(days int) {
		t.Helper()
		d := New(db, Settings{RetryFor: time.Minute})
		d.now = func() time.Time { return time.Now().AddDate(0, 0, days) }
		if err := d.Transact(t.Context(), "test", func(*Tx) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	for i, days := range []int{0, receiptLifetime + 1, -receiptLifetime - 1, 0} {
		use(days)
		var n int
		err := db.Reader.GetContext(t.Context(), &n, "SELECT COUNT(*) FROM counters WHERE name LIKE 'receipt-%'")
		if err != nil || n != i+1 {
			t.Errorf("%d receipts of %d; %v", n, i+1, err)
		}
	}
}

func TestReceiptIsDroppedWhenTheOutcomeIsUnknown(t *testing.T) {
	m := newMarks(t, enginetest.OpenThrough(t, chaos.Nothing, chaos.Answer))
	m.retryFor = 0
	ctx := context.Background()
	for n := range 3 {
		err := m.Transact(ctx, "test", func(tx *Tx) error { return insertMark(ctx, tx, n) })
		if wanted := n == 1; errors.Is(err, ErrUnavailable) != wanted {
			t.Errorf("transaction %d: %v", n, err)
		}
	}
	m.eventually(3) // the commit without an answer may still be under way
	m.requireMarks(0, 1, 2)
}

// TestReceiptIsDroppedWhenARetryFailsForAnotherReason loses the answer to a commit, and has the server refuse the next
// connection in a way that is final. A transaction that comes later must not be taken for the one that was committed.
func TestReceiptIsDroppedWhenARetryFailsForAnotherReason(t *testing.T) {
	m := newMarks(t, enginetest.OpenThrough(t, chaos.Nothing, chaos.Answer))
	var name string
	if err := m.DB.DB.Reader.GetContext(t.Context(), &name, "SELECT current_database()"); err != nil {
		t.Fatal(err)
	}
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	admin := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(location.String())})
	allow := func(allowed bool) {
		t.Helper()
		statement := fmt.Sprintf("ALTER DATABASE %q ALLOW_CONNECTIONS %t", name, allowed)
		if _, err := admin.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	for n := range 4 {
		err := m.Transact(ctx, "test", func(tx *Tx) error {
			if n == 1 {
				allow(false)
			}
			return insertMark(ctx, tx, n)
		})
		if refused := n == 1; (err != nil) != refused || errors.Is(err, ErrUnavailable) {
			t.Errorf("transaction %d: %v", n, err)
		}
		allow(true)
	}
	m.eventually(4)
	m.requireMarks(0, 1, 2, 3)
}
