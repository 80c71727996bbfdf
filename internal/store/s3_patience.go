package store

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

type impatient struct{}

// WithoutPatience returns a context whose requests do not wait for a server that is away. It is for callers that
// others wait for.
func WithoutPatience(ctx context.Context) context.Context {
	return context.WithValue(ctx, impatient{}, true)
}

// patience limits the time for which one request is repeated while the server is away.
type patience struct {
	store    *S3
	deadline time.Time
}

// lasts reports whether to repeat a failed request because the server may come back. It logs one warning per
// outage.
func (p *patience) lasts(ctx context.Context, err error) bool {
	s := p.store
	if s.retryFor <= 0 || ctx.Err() != nil || ctx.Value(impatient{}) != nil || !isDown(err) {
		return false
	}

	now := time.Now()
	if p.deadline.IsZero() {
		// The deadline counts from the first failure.
		p.deadline = now.Add(s.retryFor)
	}

	if now.After(p.deadline) {
		return false
	}

	if !s.away.Swap(true) && s.log != nil {
		s.log.Warn("the S3 server is not available: waiting for it", "endpoint", s.bucket.Endpoint, "for", s.retryFor,
			"reason", s.failure("", err))
	}

	return true
}

// answers records that the server has answered.
func (s *S3) answers() {
	if s.away.Swap(false) && s.log != nil {
		s.log.Info("the S3 server is available again", "endpoint", s.bucket.Endpoint)
	}
}

// answersWith records that the server has answered if an error is its refusal. The end of the context says nothing.
func (s *S3) answersWith(ctx context.Context, err error) {
	if ctx.Err() == nil && !isDown(err) {
		s.answers()
	}
}

// patiently sends a request until the server is back or has been away for too long. The library itself repeats
// such a request a few times.
func (s *S3) patiently(ctx context.Context, send func() error) error {
	p := patience{store: s}
	for attempt := 1; ; attempt++ {
		err := send()
		if err == nil {
			s.answers()
			return nil
		}

		if !p.lasts(ctx, err) {
			s.answersWith(ctx, err)
			return ended(ctx, err)
		}

		if err := pauseBefore(ctx, attempt); err != nil {
			return err
		}
	}
}

// isDown reports whether the server was not reached, broke off its answer or failed by itself, so that waiting
// may help. Waiting does not help against a wrong bucket, wrong keys or a wrong certificate, nor against a
// shortage in this process.
func isDown(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, ErrUnusable) && !isAway(err) || shortage.Exhausted(err) ||
		isCertificate(err) {
		return false
	}

	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusNotImplemented &&
			answer.StatusCode != http.StatusInsufficientStorage
	}

	return isAway(err)
}
