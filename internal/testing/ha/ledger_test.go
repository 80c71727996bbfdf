//go:build ha

package ha_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ledger commits numbers all the time, to know what the cluster itself has lost.
type ledger struct {
	url    string
	stop   context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	last   int
	landed []int
}

func keepLedger(t *testing.T, url string) *ledger {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &ledger{url: url, stop: cancel}
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	_, err = conn.Exec(t.Context(), "CREATE SCHEMA ledger; CREATE TABLE ledger.numbers (n BIGINT)")
	must(t, errors.Join(err, conn.Close(t.Context())))

	l.done.Go(func() {
		for ctx.Err() == nil {
			_ = l.write(ctx) // a server that is away
			pause(ctx, 50*time.Millisecond)
		}
	})
	t.Cleanup(l.close)
	return l
}

func (l *ledger) close() {
	l.stop()
	l.done.Wait()
}

// write commits numbers over one connection until that fails.
func (l *ledger) write(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(limited, l.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }() // it is of no use any more

	for {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		l.last++
		_, err := conn.Exec(limited, "INSERT INTO ledger.numbers VALUES ($1)", l.last)
		cancel()
		if err != nil {
			return err
		}

		l.mu.Lock()
		l.landed = append(l.landed, l.last)
		l.mu.Unlock()
		pause(ctx, 20*time.Millisecond)
	}
}

// lost returns how many numbers are gone that were committed, and forgets them.
func (l *ledger) lost(t *testing.T) (count int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := pgx.Connect(t.Context(), l.url)
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()

	must(t, conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM unnest($1::bigint[]) AS a (n) "+
		"WHERE NOT EXISTS (SELECT FROM ledger.numbers b WHERE a.n = b.n)", l.landed).Scan(&count))
	l.landed = l.landed[:0]
	return count
}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
