package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	sq "github.com/Masterminds/squirrel"
)

// receipt is a counter that every transaction holding it raises by one. If a commit got no answer, the next attempt
// sees by the counter whether the commit succeeded, and waits for it if it is still under way. The server's own
// number of the transaction would not do: after a crash another transaction gets the same number.
type receipt struct {
	counter string
	value   int64
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
			if err := tx.Flush(ctx); err != nil {
				return err
			}
		}
		return fn(tx)
	})

	// The earlier attempt has raised the counter, and this one was rolled back.
	if errors.Is(err, errCommitted) {
		value[0], err = receipt.value+1, nil
	}
	if err == nil {
		receipt.value = value[0]
	}
	return err
}

// raise makes the transaction fail with errCommitted if it is a retry and the counter was raised before. A counter
// that starts over was cleaned up meanwhile.
func (db *DB) raise(ctx context.Context, tx *Tx, receipt *receipt, again bool, value []int64) error {
	if receipt.value == 0 {
		if err := forgetReceipts(ctx, tx, receipt.made); err != nil {
			return err
		}
	}
	return tx.LaterRead(ctx, value, Raised(receipt.counter, 1), func(int64) error {
		if again && value[0] == receipt.value+2 {
			return errCommitted
		}
		return nil
	})
}

// ReceiptPrefix begins the name of a receipt's counter. It is followed by the day on which the receipt was made.
const (
	ReceiptPrefix   = "receipt-"
	receiptLifetime = 30
	secondsADay     = 24 * 60 * 60
)

func receiptName(day int64) string { return fmt.Sprintf("%s%08d", ReceiptPrefix, day) }

// takeReceipt returns a free receipt, or makes one. Days are those of the database's clock: a host that went by its
// own clock could take the receipts of others for old ones.
func (db *DB) takeReceipt(ctx context.Context) (*receipt, error) {
	if free := db.receipts.take(); free != nil {
		return free, nil
	}
	day, err := db.today(ctx)
	if err != nil {
		return nil, err
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

// receipts holds the receipts that no transaction holds.
type receipts struct {
	mu   sync.Mutex
	free []*receipt
	// day is what the database's clock said, and when it was read.
	day struct {
		mu    sync.Mutex
		clock int64
		read  time.Time
	}
}

// take returns nil if no receipt is free.
func (rs *receipts) take() *receipt {
	rs.mu.Lock()
	defer rs.mu.Unlock()
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
