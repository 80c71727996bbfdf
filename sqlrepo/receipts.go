package sqlrepo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// receipt is a counter that every transaction raises by one which holds the receipt. When a commit got no answer, the
// next attempt sees by the counter whether that was committed, and waits for it if it is still under way. The server's
// own number of the transaction doesn't tell: after a crash the same number is given to another transaction.
type receipt struct {
	counter string
	value   int64
}

var errCommitted = errors.New("an earlier attempt was committed")

// onceWith runs fn in one transaction unless an earlier attempt with the same receipt was committed after all.
func (r *Repository) onceWith(ctx context.Context, receipt *receipt, again bool, fn func(*dialect.Tx) error) error {
	value := make([]int64, 1)
	err := r.once(ctx, func(tx *dialect.Tx) (err error) {
		if err := r.raise(ctx, tx, receipt, again, value); err != nil {
			return err
		}
		if again {
			if err := tx.Flush(ctx); err != nil {
				return err
			}
		}
		return fn(tx)
	})
	if errors.Is(err, errCommitted) {
		value[0], err = receipt.value+1, nil
	}
	if err == nil {
		receipt.value = value[0]
	}
	return err
}

// raise has the transaction fail with errCommitted when it is run again and the counter was raised before. A counter that begins anew was
// cleaned up meanwhile.
func (r *Repository) raise(ctx context.Context, tx *dialect.Tx, receipt *receipt, again bool, value []int64) error {
	if receipt.value == 0 {
		if err := r.forgetReceipts(ctx, tx); err != nil {
			return err
		}
	}
	return r.laterRead(ctx, tx, value, raised(receipt.counter, 1), func(int64) error {
		if again && value[0] == receipt.value+2 {
			return errCommitted
		}
		return nil
	})
}

// receiptPrefix is followed by the day on which the receipt was made.
const (
	receiptPrefix   = "receipt-"
	receiptLifetime = 30
	secondsADay     = 24 * 60 * 60
)

func (r *Repository) receiptName(age int64) string {
	return fmt.Sprintf("%s%08d", receiptPrefix, r.now().Unix()/secondsADay-age)
}

// forgetReceipts removes those that earlier processes left.
func (r *Repository) forgetReceipts(ctx context.Context, tx *dialect.Tx) error {
	return r.later(ctx, tx, squirrel.Delete("counters").Where(squirrel.Like{"name": receiptPrefix + "%"}).
		Where(squirrel.Lt{"name": r.receiptName(receiptLifetime)}), nil)
}

// receipts keeps those that no transaction holds.
type receipts struct {
	mu   sync.Mutex
	free []*receipt
}

func (rs *receipts) take(name string) *receipt {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	last := len(rs.free) - 1
	if last < 0 {
		return &receipt{counter: name + "-" + rand.Text()}
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
