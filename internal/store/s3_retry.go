package store

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

const (
	// mostAttempts bounds how often a request is sent that makes no headway.
	mostAttempts = 8
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// idleTimeout is how long nothing may move of a request before it is sent again.
	idleTimeout = time.Minute
)

var errIdle = errors.New("nothing came or went for too long")

// again sends a request until it succeeds, fails for good or was sent often enough, and a server that is away was
// waited for. The client of the library does so by itself, but not for bodies: what still reads the body of one attempt
// must not share it with the next.
func (s *S3) again(ctx context.Context, send func(ctx context.Context) error) error {
	p := patience{store: s}
	for attempt := 1; ; attempt++ {
		err := send(ctx)
		if err == nil {
			s.answers()
			return nil
		}
		waits := p.lasts(ctx, err)
		if !isDown(err) {
			s.answers()
		}
		if ctx.Err() != nil || !waits && (attempt >= mostAttempts || !isTransient(err)) {
			return ended(ctx, err)
		}
		if err := pauseBefore(ctx, attempt); err != nil {
			return err
		}
	}
}

// pauseBefore waits longer before each attempt.
func pauseBefore(ctx context.Context, attempt int) error {
	longest := min(firstPause<<min(attempt-1, 10), longestPause)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(longest/4 + rand.N(longest)): //nolint:gosec // chance spreads the load, and keeps no secret
		return nil
	}
}

// watch ends a request of which nothing moves for too long.
func watch(ctx context.Context) (watched context.Context, moved, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	return watched, func() { timer.Reset(idleTimeout) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// body is what one attempt sends. It can't be rewound, so that the library does not send it again.
type body struct {
	from io.Reader
	read func(n int64)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read(int64(n))
	return n, err
}
