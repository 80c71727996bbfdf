package sqlrepo

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
)

// away makes a repository whose errors are all those of a database that is away, and keeps its log.
func away(t *testing.T, options ...Option) (*Repository, *bytes.Buffer) {
	t.Helper()
	db := *enginetest.Engines()[0].Open(t)
	var log bytes.Buffer
	db.Log = slog.New(slog.NewTextHandler(&log, nil))
	db.Classify = func(err error) dialect.Class {
		if err != nil {
			return dialect.Unavailable
		}
		return dialect.Other
	}
	r := New(&db, options...)
	r.backoff = time.Millisecond
	return r, &log
}

func requireLog(t *testing.T, log *bytes.Buffer, began, ended int) {
	t.Helper()
	text := log.String()
	if strings.Count(text, "is away") != began || strings.Count(text, "is back") != ended {
		t.Errorf("the log tells not of %d beginnings and %d ends: %s", began, ended, text)
	}
}

func TestOutageIsToldOnce(t *testing.T) {
	r, log := away(t)
	for outage := range 2 {
		var failed, ended sync.WaitGroup
		failed.Add(8)
		for range 8 {
			ended.Go(func() {
				attempts := 0
				err := r.read(t.Context(), "test", func() error {
					if attempts++; attempts == 3 {
						failed.Done()
						failed.Wait()
					}
					if attempts < 5 {
						return io.ErrUnexpectedEOF
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		ended.Wait()
		requireLog(t, log, outage+1, outage+1)
	}
}

func TestOutageThatWasGivenUpIsToldAgain(t *testing.T) {
	r, log := away(t, WithRetryFor(0))
	for n := range 2 {
		if err := r.read(t.Context(), "test", func() error { return io.ErrUnexpectedEOF }); err == nil {
			t.Error("no error")
		}
		requireLog(t, log, n+1, 0)
	}
}

func TestBusyDatabaseIsNoOutage(t *testing.T) {
	r, log := away(t)
	r.db.Classify = func(err error) dialect.Class {
		if err != nil {
			return dialect.Conflict
		}
		return dialect.Other
	}
	attempts := 0
	err := r.read(context.Background(), "test", func() error {
		if attempts++; attempts < 3 {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	requireLog(t, log, 0, 0)
}
