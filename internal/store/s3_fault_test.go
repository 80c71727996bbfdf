package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
)

// s3 is a store on a server that can be disturbed.
type s3 struct {
	*testing.T
	server *s3test.Server
	store  store.Store
}

func newS3(t *testing.T) *s3 {
	t.Helper()
	server := s3test.Start(t)
	return &s3{t, server, opener(t, server.URL(s3test.BucketName+"/p"))()}
}

func random(length int) []byte {
	content := make([]byte, length)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content) // never fails
	return content
}

// put commits a blob. Like every user of a store, it aborts the blob if the commit fails.
func (s *s3) put(ctx context.Context, content []byte) error {
	s.Helper()
	blob, err := s.store.Create(ctx, "me-1")
	if err != nil {
		return err
	}

	_, err = blob.Write(content)
	if err == nil {
		err = blob.Stage(ctx, "name.car", func(int64) {})
	}
	if err == nil {
		_, err = blob.Commit(ctx, "name.car")
	}

	return errors.Join(err, blob.Abort())
}

// checkHolds checks the content of the blob.
func (s *s3) checkHolds(content []byte) {
	s.Helper()
	in, err := s.store.Open(s.Context(), "name.car")
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = in.Close() }()

	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, content) {
		s.Errorf("it holds %d other bytes: %v", len(got), err)
	}
}

// checkClean discards unfinished blobs, as gc does, and checks on the server's disk that nothing but the blobs is
// left.
func (s *s3) checkClean(blobs int) {
	s.Helper()
	s.server.Disturb(nil)

	unfinished, err := s.store.Unfinished(s.Context(), "")
	if err != nil {
		s.Fatal(err)
	}

	for _, left := range unfinished {
		if err := s.store.Discard(s.Context(), left); err != nil {
			s.Error(err)
		}
	}

	var found []string
	err = filepath.WalkDir(s.server.Objects, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.Contains(path, "lock") {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) != blobs {
		s.Errorf("the server keeps %q: %v", found, err)
	}
}

func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func isBlob(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "name.car") }

// refuse answers with an error. Its message contains a secret, as that of a real server may.
func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s: no %s</Message></Error>", code, code, s3test.SecretKey)
}

// cut breaks the connection.
func cut() { panic(http.ErrAbortHandler) }

// some returns a fault that makes the first n matching requests fail.
func some(n int64, match func(*http.Request) bool, fail s3test.Fault) s3test.Fault {
	var failed atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if match(r) && failed.Add(1) <= n {
			fail(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	}
}

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

// TestAnUploadThatIsInterrupted checks that the upload ends soon and that its owner's parts are found.
func TestAnUploadThatIsInterrupted(t *testing.T) {
	s := newS3(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	errStop := errors.New("stop")

	var parts atomic.Int64
	s.server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch {
		case isPart(r) && parts.Add(1) > 1:
			cancel(errStop)
			// The server notices the end of the connection only after it has read the body.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			cut()
		case r.Method == http.MethodDelete:
			refuse(w, 400, "InvalidRequest")
		default:
			pass.ServeHTTP(w, r)
		}
	})

	if err := s.put(ctx, random(40<<20)); !errors.Is(err, errStop) {
		t.Errorf("%v", err)
	}

	s.server.Disturb(nil)
	for prefix, want := range map[string]int{"me-": 1, "you-": 0} {
		if left, err := s.store.Unfinished(t.Context(), prefix); err != nil || len(left) != want {
			t.Errorf("of %s: %v, %v", prefix, left, err)
		}
	}

	s.checkClean(0)
}

// TestAnUploadWithoutANote checks uploads that remain when a process dies between two requests. They are found
// once nobody can be at work on them.
func TestAnUploadWithoutANote(t *testing.T) {
	s := newS3(t)
	name := car.ShardCID(sha256.Sum256(nil)).String() + ".car"

	begin := func(key string) string {
		t.Helper()
		id, err := s.server.Client.NewMultipartUpload(t.Context(), s3test.BucketName, key, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}

	id := begin("p/" + name)
	// The other uploads may belong to other programs.
	others := map[string]string{}
	for _, key := range []string{name, "p/backup.tar", "p/name.car", "p/deeper/" + name, "p/" + name + ".tmp"} {
		others[key] = begin(key)
	}

	if left, err := s.store.Unfinished(t.Context(), ""); err != nil || len(left) != 0 {
		t.Errorf("a new one is taken for abandoned: %v, %v", left, err)
	}

	// From now on all uploads appear old.
	began := regexp.MustCompile(`<Initiated>[^<]*</Initiated>`)
	s.server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !r.URL.Query().Has("uploads") || r.Method != http.MethodGet {
			pass.ServeHTTP(w, r)
			return
		}

		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		_, _ = w.Write(began.ReplaceAll(answer.Body.Bytes(), []byte("<Initiated>2020-01-01T00:00:00Z</Initiated>")))
	})

	// An upload with a note must stay, however old it is.
	blob, err := s.store.Create(t.Context(), "me-1")
	if err == nil {
		_, err = blob.Write(random(9 << 20))
	}
	if err == nil {
		err = blob.Stage(t.Context(), name, func(int64) {})
	}
	if err != nil {
		t.Fatal(err)
	}

	left, err := s.store.Unfinished(t.Context(), "you-")
	if err != nil || len(left) != 1 || left[0].Owner != "" || !strings.Contains(left[0].Name, "uploadId=") {
		t.Fatalf("%v, %v", left, err)
	}

	for range 2 {
		if err := s.store.Discard(t.Context(), left[0]); err != nil {
			t.Error(err)
		}
	}

	if _, err := blob.Commit(t.Context(), name); err != nil {
		t.Errorf("what has a note was discarded: %v", err)
	}
	if err := blob.Abort(); err != nil {
		t.Error(err)
	}

	if err := s.server.Client.AbortMultipartUpload(t.Context(), s3test.BucketName, "p/"+name, id); err == nil {
		t.Error("it is still there")
	}
	for key, id := range others {
		if err := s.server.Client.AbortMultipartUpload(t.Context(), s3test.BucketName, key, id); err != nil {
			t.Errorf("what another program began is gone: %s: %v", key, err)
		}
	}

	s.checkClean(1)
}

// TestServersWithoutConditions checks that all processes agree on the last identity when a server accepts several
// at once.
func TestServersWithoutConditions(t *testing.T) {
	for name, fault := range map[string]s3test.Fault{
		"refused": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Header.Get("If-None-Match") != "" {
				refuse(w, 501, "NotImplemented")
				return
			}
			pass.ServeHTTP(w, r)
		},
		"ignored": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &s3{t, s3test.StartAlone(t), nil}
			open := opener(t, s.server.URL(s3test.BucketName+"/p"))
			if fault == nil {
				// Removing the object first makes the server ignore the condition.
				fault = func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					if r.Header.Get("If-None-Match") != "" {
						key := strings.TrimPrefix(r.URL.Path, "/"+s3test.BucketName+"/")
						err := s.server.Client.RemoveObject(r.Context(), s3test.BucketName, key, minio.RemoveObjectOptions{})
						t.Logf("removed %s for a %s: %v", key, r.Method, err)
					}
					pass.ServeHTTP(w, r)
				}
			}

			s.server.Disturb(fault)

			identities := make(chan string, 4)
			for range cap(identities) {
				from := open()
				go func() {
					identity, err := from.Identify(context.WithoutCancel(t.Context()))
					if err != nil {
						identity = err.Error()
					}
					identities <- identity
				}()
			}

			first := <-identities
			for range cap(identities) - 1 {
				if next := <-identities; next != first {
					t.Errorf("it is %q and %q", first, next)
				}
			}

			if marker, err := open().Marker(t.Context()); marker != first || err != nil {
				t.Errorf("it is %q, not %q: %v", marker, first, err)
			}
		})
	}
}

// TestBucketsThatCanNotBeUsed checks that unusable buckets are distinguished from missing blobs.
func TestBucketsThatCanNotBeUsed(t *testing.T) {
	s := newS3(t)
	open := func(location string) error {
		_, err := store.OpenURL(t.Context(), location, store.Options{TempDir: t.TempDir()})
		return err
	}

	err := open(s.server.URL("no-such-bucket"))
	if !errors.Is(err, store.ErrUnusable) || errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "no bucket no-such-bucket") {
		t.Errorf("no bucket: %v", err)
	}

	if err := s.server.Client.RemoveBucket(t.Context(), s3test.BucketName); err != nil {
		t.Fatal(err)
	}

	for op, call := range map[string]func() error{
		"size":      func() error { _, err := s.store.Size(t.Context(), "name.car"); return err },
		"open":      func() error { _, err := s.store.Open(t.Context(), "name.car"); return err },
		"marker":    func() error { _, err := s.store.Marker(t.Context()); return err },
		"put":       func() error { return s.put(t.Context(), random(5)) },
		"put parts": func() error { return s.put(t.Context(), random(9<<20)) },
		"list": func() error {
			for _, err := range s.store.Committed(t.Context()) {
				return err
			}
			return nil
		},
		"unfinished": func() error { _, err := s.store.Unfinished(t.Context(), ""); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrUnusable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", op, err)
		}
	}

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	err = open(s.server.Bucket)
	if !errors.Is(err, store.ErrUnusable) || !errors.Is(err, fs.ErrPermission) ||
		strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong keys: %v", err)
	}

	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", os.Getenv("AWS_SHARED_CREDENTIALS_FILE"))
	err = open(s.server.Bucket)
	if !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no keys: %v", err)
	}
}

// TestKeysInAFile checks that keys in a file are found by their profile, and that a store may have no prefix.
func TestKeysInAFile(t *testing.T) {
	s := newS3(t)
	file := filepath.Join(t.TempDir(), "credentials")
	content := fmt.Sprintf("[shards]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s3test.AccessKey,
		s3test.SecretKey)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "shards",
	} {
		t.Setenv(key, value)
	}

	s.store = opener(t, s.server.Bucket+"&region=us-east-1&path_style=true")()
	if err := s.put(t.Context(), random(5)); err != nil {
		t.Fatal(err)
	}

	s.checkHolds(random(5))
	if location := s.store.Location("name.car"); location != "s3://"+s3test.BucketName+"/name.car" {
		t.Errorf("it is at %s", location)
	}

	if _, err := os.Stat(filepath.Join(s.server.Objects, "name.car")); err != nil {
		t.Error(err)
	}
}

// TestANoteThatDoesNotNameItsUpload checks a note that remains when a process dies while its upload begins.
// Uploads of others must stay.
func TestANoteThatDoesNotNameItsUpload(t *testing.T) {
	s := newS3(t)
	var notes atomic.Int64
	s.server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		// The second write of the note fails, and so does every later deletion.
		note := strings.Contains(r.URL.Path, ".guppy-dead")
		if note && r.Method == http.MethodPut && notes.Add(1) == 2 || notes.Load() >= 2 && r.Method == http.MethodDelete {
			refuse(w, 400, "InvalidRequest")
			return
		}
		pass.ServeHTTP(w, r)
	})

	living, err := s.store.Create(t.Context(), "living")
	if err == nil {
		_, err = living.Write(random(9 << 20))
	}
	if err == nil {
		err = living.Stage(t.Context(), "name.car", func(int64) {})
	}

	dead, deadErr := s.store.Create(t.Context(), "dead")
	if err := errors.Join(err, deadErr); err != nil {
		t.Fatal(err)
	}

	if _, err := dead.Write(random(9 << 20)); err != nil {
		t.Fatal(err)
	}
	if err := dead.Stage(t.Context(), "name.car", func(int64) {}); err == nil {
		t.Error("an upload began that could not be noted")
	}

	s.server.Disturb(nil)
	left, err := s.store.Unfinished(t.Context(), "dead")
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	if err := s.store.Discard(t.Context(), left[0]); err != nil {
		t.Error(err)
	}

	list, err := s.server.Client.ListMultipartUploads(t.Context(), s3test.BucketName, "", "", "", "", 0)
	if err != nil || len(list.Uploads) != 1 {
		t.Errorf("%d uploads are left: %v", len(list.Uploads), err)
	}

	if _, err := living.Commit(t.Context(), "name.car"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(living.Abort(), dead.Abort()); err != nil {
		t.Error(err)
	}

	s.checkClean(1)
}

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
			_, err = blob.Commit(ctx, "name.car")
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
