package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	sq "github.com/Masterminds/squirrel"
)

// receipt is a counter that every transaction holding it raises by one. If a commit got no answer, the next attempt
// sees by the counter whether the commit succeeded, and waits for it if it is still under way. The server's own
// number of the transaction would not do: after a crash another transaction gets the same number.
//
// A counter that is behind its receipt shows that the database has lost commits, see ErrRewound.
type receipt struct {
	counter string
	// value is what the counter was raised to by the last commit that got an answer.
	value int64
	// made is the day on which the receipt was made.
	made int64
}

var errCommitted = errors.New("an earlier attempt was committed")

// onceWith runs fn in one transaction unless an earlier attempt with the same receipt was committed.
func (db *DB) onceWith(ctx context.Context, receipt *receipt, again bool, fn func(*Tx) error) error {
	value := make([]int64, 1)
	err := db.once(ctx, func(tx *Tx) (err error) {
		if err := db.raise(ctx, tx, receipt, again, value); err != nil {
			return err
		}

		// Find out whether an earlier attempt was committed before fn runs again.
		if again {
			err := tx.Flush(ctx)
			// What was committed can be seen before standbys have it, if the wait for them was broken off. The raised
			// counter is committed after it, and so is the proof that synchronous standbys have both.
			if errors.Is(err, errCommitted) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return fn(tx)
	})

	if err == nil {
		db.receipts.landed(receipt, value[0])
	}
	return err
}

// raise makes the transaction fail with errCommitted if it is a retry and the counter was raised before, and with
// ErrRewound if this receipt or another one has got ahead of its counter.
func (db *DB) raise(ctx context.Context, tx *Tx, receipt *receipt, again bool, value []int64) error {
	if receipt.value == 0 {
		if err := forgetReceipts(ctx, tx, receipt.made); err != nil {
			return err
		}
	}

	// Commits are lost from the last one backwards, and the last one may have raised another counter.
	if others, count := db.receipts.others(receipt); count > 0 {
		found := make([]int64, 1)
		if err := tx.LaterRead(ctx, found, others, func(int64) error {
			return db.rewoundUnless(found[0] == int64(count))
		}); err != nil {
			return err
		}
	}

	return tx.LaterRead(ctx, value, Raised(receipt.counter, 1), func(int64) error {
		if again && value[0] >= receipt.value+2 {
			return errCommitted
		}
		return db.rewoundUnless(value[0] > receipt.value)
	})
}

// rewoundUnless returns nil if all is well. From ErrRewound on all work of the handle ends with that error: what this
// process has in memory may be true no longer.
func (db *DB) rewoundUnless(well bool) error {
	if well {
		return nil
	}
	db.rewound.Store(true)
	return ErrRewound
}

// ReceiptPrefix begins the name of a receipt's counter. It is followed by the day on which the receipt was made.
const (
	ReceiptPrefix   = "receipt-"
	receiptLifetime = 30
	// A receipt is given up long before its counter is removed, which would look like a lost commit.
	receiptUse  = receiptLifetime / 2
	secondsADay = 24 * 60 * 60
	// mostEvidence is more than the transactions that a process has at a time.
	mostEvidence = 64
)

func receiptName(day int64) string { return fmt.Sprintf("%s%08d", ReceiptPrefix, day) }

// takeReceipt returns a free receipt, or makes one. Days are those of the database's clock: a host that went by its
// own clock could take the receipts of others for old ones.
func (db *DB) takeReceipt(ctx context.Context) (*receipt, error) {
	day, err := db.today(ctx)
	if err != nil {
		return nil, err
	}
	if free := db.receipts.take(day); free != nil {
		return free, nil
	}
	return &receipt{counter: receiptName(day) + "-" + rand.Text(), made: day}, nil
}

// today returns the day by the database's clock, which is read once.
func (db *DB) today(ctx context.Context) (int64, error) {
	if db.clock != nil {
		return db.clock().Unix() / secondsADay, nil
	}

	day := &db.receipts.day
	day.mu.Lock()
	defer day.mu.Unlock()

	if day.read.IsZero() {
		err := db.Retry(ctx, "read the database's clock", func() error {
			return db.Writer.Get(ctx, &day.clock, sq.Select().Column(db.Clock(0)))
		})
		if err != nil {
			return 0, err
		}
		day.read = time.Now()
	}

	// The time since the reading is measured here, which needs no query.
	return time.UnixMicro(day.clock).Add(time.Since(day.read)).Unix() / secondsADay, nil
}

// ForgetReceipts removes the receipts of processes that ended long ago.
func (db *DB) ForgetReceipts(ctx context.Context) error {
	today, err := db.today(ctx)
	if err != nil {
		return err
	}
	return db.Transact(ctx, "forget old receipts", func(tx *Tx) error { return forgetReceipts(ctx, tx, today) })
}

// forgetReceipts removes the receipts that earlier processes left.
func forgetReceipts(ctx context.Context, tx *Tx, today int64) error {
	return tx.Later(ctx, sq.Delete(CounterTable).Where(sq.Like{"name": ReceiptPrefix + "%"}).
		Where(sq.Lt{"name": receiptName(today - receiptLifetime)}), nil)
}

// receipts holds the receipts of a handle.
type receipts struct {
	mu sync.Mutex
	// free are those that no transaction holds, used those that have raised their counters, by their last commits.
	free, used []*receipt
	// day is what the database's clock said, and when it was read.
	day struct {
		mu    sync.Mutex
		clock int64
		read  time.Time
	}
}

// take returns nil if no receipt is free. It drops those that are too old.
func (rs *receipts) take(today int64) *receipt {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	old := func(r *receipt) bool { return today-r.made > receiptUse }
	rs.free, rs.used = slices.DeleteFunc(rs.free, old), slices.DeleteFunc(rs.used, old)

	last := len(rs.free) - 1
	if last < 0 {
		return nil
	}
	taken := rs.free[last]
	rs.free = rs.free[:last]
	return taken
}

func (rs *receipts) giveBack(r *receipt) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.free = append(rs.free, r)
}

// landed notes a commit. The receipts that have landed last are kept as evidence of what was committed, also those
// that no transaction may hold again.
func (rs *receipts) landed(r *receipt, value int64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.value = value
	rs.used = slices.DeleteFunc(rs.used, func(other *receipt) bool { return other == r })
	rs.used = append(rs.used, r)
	rs.used = rs.used[max(0, len(rs.used)-mostEvidence):]
}

// others returns the query that counts those of the other receipts whose counters are what they were raised to, or
// more, and how many other receipts there are.
func (rs *receipts) others(but *receipt) (query sq.Sqlizer, count int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var kept sq.Or
	for _, r := range rs.used {
		if r != but {
			kept = append(kept, sq.And{sq.Eq{"name": r.counter}, sq.GtOrEq{"value": r.value}})
		}
	}
	return sq.Select("COUNT(*)").From(CounterTable).Where(kept), len(kept)
}
