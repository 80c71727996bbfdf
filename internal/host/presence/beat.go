package presence

import (
	"context"
	"time"
)

// Beat calls renew three times in each term of a lease. One renewal may thus get lost without the lease ending. Beat
// returns nil when ctx ends, or the first error of renew.
func Beat(ctx context.Context, term time.Duration, renew func() error) error {
	beat := time.NewTicker(term / 3)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}

		if err := renew(); err != nil {
			return err
		}
	}
}
