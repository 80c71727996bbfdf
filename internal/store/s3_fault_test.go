package store_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
)

// TestTroubleThatPasses checks that the blob is as it was written once the trouble is over.
func TestTroubleThatPasses(t *testing.T) {
	for name, fault := range map[string]s3test.Fault{
		"slow down": some(6, func(*http.Request) bool { return rand.N(2) == 0 },
			func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, 503, "SlowDown") }),
		"errors while parts are sent": some(5, isPart,
			func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, 500, "InternalError") }),
		"connections that are cut in a part": some(4, isPart,
			func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
				_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
				cut()
			}),
		"bytes that change on their way": some(2, isPart,
			func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				r.Body = io.NopCloser(&flip{from: r.Body})
				pass.ServeHTTP(w, r)
			}),
		"lost answers to parts":         some(2, isPart, lose),
		"lost answers to the last call": some(2, isComplete, lose),
		"answers of 200 with an error": some(1, isComplete,
			func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, 200, "InternalError") }),
		"slow bodies": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.ContentLength > 1<<20 {
				r.Body = io.NopCloser(&slow{r.Body})
			}
			pass.ServeHTTP(&slowWriter{w}, r)
		},
		"reads that are cut": some(3, func(r *http.Request) bool { return r.Method == http.MethodGet && isBlob(r) }, half),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &s3{t, s3test.StartAlone(t), nil}
			s.store = opener(t, s.server.URL(s3test.BucketName+"/p"))()

			content := random(9 << 20)
			s.server.Disturb(fault)
			if err := s.put(t.Context(), content); err != nil {
				t.Fatal(err)
			}
			s.checkHolds(content)
			s.checkClean(1)
		})
	}
}

// lose lets the server carry out the request and loses the answer.
func lose(_ http.ResponseWriter, r *http.Request, pass http.Handler) {
	pass.ServeHTTP(httptest.NewRecorder(), r)
	cut()
}

// half sends half of the answer.
func half(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	answer := httptest.NewRecorder()
	pass.ServeHTTP(answer, r)

	for key, values := range answer.Header() {
		w.Header()[key] = values
	}

	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
	cut()
}

// flip changes one bit of what it reads.
type flip struct {
	from io.Reader
	done bool
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// slow reads slowly.
type slow struct{ from io.Reader }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Microsecond)
	return s.from.Read(p[:min(len(p), 16<<10)])
}

// slowWriter writes slowly.
type slowWriter struct{ http.ResponseWriter }

func (s *slowWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		time.Sleep(100 * time.Microsecond)
		var n int
		n, err = s.ResponseWriter.Write(p[:min(len(p), 16<<10)])
		p, written = p[n:], written+n
	}
	return written, err
}

// TestTroubleThatStays checks that the error is clear, that no blob is visible, and that everything left behind
// is found.
func TestTroubleThatStays(t *testing.T) {
	all := func(*http.Request) bool { return true }
	deletes := func(r *http.Request) bool { return r.Method == http.MethodDelete }
	full := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, 507, "InsufficientStorage") }
	always := func(match func(*http.Request) bool, fail s3test.Fault) s3test.Fault { return some(1<<40, match, fail) }

	for name, tt := range map[string]struct {
		fault s3test.Fault
		want  []error
		says  string
	}{
		"full":       {always(isPart, full), []error{store.ErrUnusable, syscall.ENOSPC}, "no space left"},
		"full later": {always(isComplete, full), []error{store.ErrUnusable, syscall.ENOSPC}, "no space left"},
		"full, and what is there can't be removed": {
			func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if isPart(r) || deletes(r) {
					full(w, r, pass)
					return
				}
				pass.ServeHTTP(w, r)
			}, []error{store.ErrUnusable, syscall.ENOSPC}, "no space left",
		},
		"a quota": {always(isPart, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, 400, "XMinioAdminBucketQuotaExceeded")
		}), []error{store.ErrUnusable, syscall.ENOSPC}, "Quota"},
		"forbidden": {always(all, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, 403, "AccessDenied")
		}), []error{store.ErrUnusable, fs.ErrPermission}, "s3:PutObject"},
		"nothing of the kind": {always(isPart, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			refuse(w, 400, "EntityTooLarge")
		}), nil, "EntityTooLarge"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newS3(t)
			s.server.Disturb(tt.fault)

			err := s.put(t.Context(), random(9<<20))
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			}

			if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v, want %q", err, tt.says)
			}

			if len(tt.want) > 0 && strings.Contains(err.Error(), s3test.SecretKey) {
				t.Errorf("it says too much: %v", err)
			}

			s.server.Disturb(nil)
			if _, err := s.store.Size(t.Context(), "name.car"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something is to be seen: %v", err)
			}

			s.checkClean(0)
		})
	}
}
