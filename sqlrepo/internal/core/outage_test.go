package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// failing is an engine all of whose errors are of one class.
type failing struct {
	sqlite.Engine
	class dialect.Class
}

func (f failing) Classify(err error) dialect.Class {
	if err != nil {
		return f.class
	}
	return dialect.Other
}

// heldUp is an engine on which another process always writes.
type heldUp struct{ sqlite.Engine }

func (heldUp) Writing(*dialect.DB) string { return "process 7 (other)" }

// away returns a database whose errors are all those of a database that is away, and keeps its log.
func away(t *testing.T) (*DB, *bytes.Buffer) {
	t.Helper()
	db := *enginetest.Engines()[0].Open(t)
	var log bytes.Buffer
	db.Log = slog.New(slog.NewTextHandler(&log, nil))
	db.Engine = failing{class: dialect.Unavailable}
	d := New(&db, Settings{RetryFor: time.Minute})
	d.backoff = time.Millisecond
	return d, &log
}

func requireLog(t *testing.T, log *bytes.Buffer, began, ended int) {
	t.Helper()
	text := log.String()
	if strings.Count(text, "is away") != began || strings.Count(text, "is back") != ended {
		t.Errorf("the log tells not of %d beginnings and %d ends: %s", began, ended, text)
	}
}

func TestOutageIsToldOnce(t *testing.T) {
	d, log := away(t)
	for outage := range 2 {
		var failed, ended sync.WaitGroup
		failed.Add(8)
		for range 8 {
			ended.Go(func() {
				attempts := 0
				err := d.Retry(t.Context(), "test", func() error {
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
	d, log := away(t)
	d.retryFor = 0
	for n := range 2 {
		if err := d.Retry(t.Context(), "test", func() error { return io.ErrUnexpectedEOF }); err == nil {
			t.Error("no error")
		}
		requireLog(t, log, n+1, 0)
	}
}

func TestBusyDatabaseIsNoOutage(t *testing.T) {
	d, log := away(t)
	d.Engine = failing{class: dialect.Conflict}
	attempts := 0
	err := d.Retry(context.Background(), "test", func() error {
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

// TestWhoHoldsUpWritersIsTold when a transaction waits for another one, at once and when it is given up.
func TestWhoHoldsUpWritersIsTold(t *testing.T) {
	for name, patience := range map[string]time.Duration{"one long wait": time.Minute,
		"many short ones": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := enginetest.Engines()[0].Migrated(t)
			settings.Options = []any{sqlite.Options{BusyTimeout: patience}}
			db, other := *enginetest.MustOpen(t, settings), enginetest.MustOpen(t, settings)
			log := &lines{told: make(chan string, 10)}
			db.Log = slog.New(slog.NewTextHandler(log, nil))
			db.Engine = heldUp{}
			d := New(&db, Settings{RetryFor: 4 * time.Second})
			tx, err := other.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			ended := make(chan error, 1)
			go func() {
				ended <- d.Transact(t.Context(), "test", func(*Tx) error { return nil })
			}()
			if told := <-log.told; !strings.Contains(told, "keeps everybody from writing") ||
				!strings.Contains(told, "process 7 (other)") {
				t.Errorf("told %s", told)
			}
			if patience < time.Second {
				err := <-ended
				if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(),
					"process 7 (other) keeps everybody from writing") {
					t.Errorf("got %v", err)
				}
			}
			if err := errors.Join(tx.Rollback(t.Context()), tx.Release()); err != nil {
				t.Fatal(err)
			}
			if patience >= time.Second {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// lines passes on what is written.
type lines struct{ told chan string }

func (l *lines) Write(line []byte) (int, error) {
	l.told <- string(line)
	return len(line), nil
}
