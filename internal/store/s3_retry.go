package store

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

const (
	// mostAttempts limits the attempts of a request that makes no progress.
	mostAttempts = 8
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// idleTimeout is the longest time without progress before a request is sent again.
	idleTimeout = time.Minute
)

var errIdle = errors.New("no data was transferred for too long")

// again sends a request until it succeeds, fails for good, or was sent mostAttempts times, and has waited long
// enough for a server that is away. The library's client also repeats requests, but not those with a body: a
// reader left over from one attempt must not share the body with the next.
func (s *S3) again(ctx context.Context, send func(ctx context.Context) error) error {
	p := patience{store: s}
	for attempt := 1; ; attempt++ {
		err := send(ctx)
		if err == nil {
			s.answers()
			return nil
		}

		waits := p.lasts(ctx, err)
		s.answersWith(ctx, err)

		if ctx.Err() != nil || !waits && (attempt >= mostAttempts || !isTransient(err)) {
			return ended(ctx, err)
		}

		if err := pauseBefore(ctx, attempt); err != nil {
			return err
		}
	}
}

// pauseBefore pauses before the next attempt. The pauses grow with each attempt.
func pauseBefore(ctx context.Context, attempt int) error {
	longest := min(firstPause<<min(attempt-1, 10), longestPause)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(longest/4 + rand.N(longest)): //nolint:gosec // chance spreads the load, and keeps no secret
		return nil
	}
}

// watch returns a context that ends once moved has not been called for idleTimeout. stop ends the context and the
// watch.
func watch(ctx context.Context) (watched context.Context, moved, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	return watched, func() { timer.Reset(idleTimeout) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// body is the body of one attempt. It cannot be rewound, so that the library does not send it again.
type body struct {
	from io.Reader
	read func(n int64)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read(int64(n))
	return n, err
}
