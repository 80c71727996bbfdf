package store_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
)

// TestAServerThatIsAway checks that the error blames the server and not the blob.
func TestAServerThatIsAway(t *testing.T) {
	// The library must not repeat the requests by itself.
	attempts := minio.MaxRetry
	minio.MaxRetry = 1
	t.Cleanup(func() { minio.MaxRetry = attempts })

	s := newS3(t)
	if err := s.put(t.Context(), random(5)); err != nil {
		t.Fatal(err)
	}

	listed := func(ctx context.Context) error {
		for _, err := range s.store.Committed(ctx) {
			return err
		}
		return nil
	}

	calls := map[string]func(ctx context.Context) error{
		"size":   func(ctx context.Context) error { _, err := s.store.Size(ctx, "name.car"); return err },
		"remove": func(ctx context.Context) error { return s.store.Remove(ctx, "name.car") },
		"list":   listed,
		"open": func(ctx context.Context) error {
			_, err := store.OpenURL(ctx, s.server.Bucket, store.Options{TempDir: t.TempDir()})
			return err
		},
	}

	for name, fault := range map[string]s3test.Fault{
		"cut": func(http.ResponseWriter, *http.Request, http.Handler) { cut() },
		"nobody behind the proxy": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusBadGateway)
		},
	} {
		s.server.Disturb(fault)

		for op, call := range calls {
			if err := call(t.Context()); !errors.Is(err, store.ErrUnusable) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, %s: %v", name, op, err)
			}
		}
	}

	for op, call := range calls {
		// The end of the context is the reason here, and not the server.
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		s.server.Disturb(func(http.ResponseWriter, *http.Request, http.Handler) {
			cancel(gone)
			cut()
		})

		if err := call(ctx); !errors.Is(err, gone) || errors.Is(err, store.ErrUnusable) {
			t.Errorf("%s, given up: %v", op, err)
		}
	}

	for _, endpoint := range []string{"http://127.0.0.1:1", "http://no.such.host.invalid"} {
		location := "s3://" + s3test.BucketName + "?endpoint=" + endpoint
		_, err := store.OpenURL(t.Context(), location, store.Options{TempDir: t.TempDir()})
		if !errors.Is(err, store.ErrUnusable) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// TestAServerThatComesBack checks that the store waits for a server that comes back and logs one warning for each
// outage. The store does not wait for a server that refuses, nor for one that stays away too long.
func TestAServerThatComesBack(t *testing.T) {
	// The library must not repeat the requests by itself.
	attempts := minio.MaxRetry
	minio.MaxRetry = 1
	t.Cleanup(func() { minio.MaxRetry = attempts })

	s := newS3(t)
	var log bytes.Buffer
	options := store.Options{TempDir: t.TempDir(), RetryFor: time.Minute, Log: slog.New(slog.NewTextHandler(&log, nil))}
	files, err := store.OpenURL(t.Context(), s.server.Bucket, options)
	if err != nil {
		t.Fatal(err)
	}

	put := func(ctx context.Context) error {
		blob, err := files.Create(ctx, "owner")
		if err != nil {
			return err
		}
		_, err = blob.Write(random(5 << 20))
		if err == nil {
			err = blob.Commit(ctx, "name.car")
		}
		return errors.Join(err, blob.Abort())
	}

	calls := map[string]func(ctx context.Context) error{
		"put":  put,
		"size": func(ctx context.Context) error { _, err := files.Size(ctx, "name.car"); return err },
		"list": func(ctx context.Context) error { _, err := files.Unfinished(ctx, ""); return err },
		"mark": func(ctx context.Context) error { _, err := files.Identify(ctx); return err },
		"open": func(ctx context.Context) error { _, err := store.OpenURL(ctx, s.server.Bucket, options); return err },
	}

	for _, op := range []string{"put", "size", "list", "mark", "open"} {
		log.Reset()
		var asked atomic.Int64
		s.server.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch n := asked.Add(1); {
			case n <= 3:
				cut()
			case n <= 5:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				next.ServeHTTP(w, r)
			}
		})

		if err := calls[op](t.Context()); err != nil {
			t.Errorf("%s: %v", op, err)
		}

		// Five requests fail in a row. Another one may meet a connection that was closed meanwhile.
		warned, back := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "is available again")
		if warned < 1 || warned > 2 || back != warned {
			t.Errorf("%s: warned %d times: %s", op, warned, log.String())
		}
	}

	var asked atomic.Int64
	s.server.Disturb(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})

	for op, call := range calls {
		if err := call(t.Context()); !errors.Is(err, store.ErrUnusable) || asked.Load() > 20 {
			t.Errorf("%s, refused after %d requests: %v", op, asked.Load(), err)
		}
		asked.Store(0)
	}

	s.server.Disturb(func(http.ResponseWriter, *http.Request, http.Handler) { cut() })
	if _, err := files.Size(store.WithoutPatience(t.Context()), "name.car"); !errors.Is(err, store.ErrUnusable) {
		t.Errorf("without patience: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := files.Size(ctx, "name.car"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}

	options.RetryFor = time.Second
	if _, err := store.OpenURL(t.Context(), s.server.Bucket, options); !errors.Is(err, store.ErrUnusable) {
		t.Errorf("away for too long: %v", err)
	}
}
