package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestAnEndedWaitIsNoAnswer requires that a server does not count as available again because nobody waits any longer.
func TestAnEndedWaitIsNoAnswer(t *testing.T) {
	var log bytes.Buffer
	s := &S3{log: slog.New(slog.NewTextHandler(&log, nil))}
	s.away.Store(true)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"patiently": func() error { return s.patiently(ctx, ctx.Err) },
		"again":     func() error { return s.again(ctx, context.Context.Err) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(log.String(), "is available again") {
			t.Errorf("%s: %s", name, log.String())
		}
	}

	// A refusal is an answer.
	if err := s.patiently(t.Context(), func() error { return ErrUnusable }); !errors.Is(err, ErrUnusable) {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "is available again") {
		t.Errorf("after a refusal: %s", log.String())
	}
}
