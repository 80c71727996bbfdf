package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
		err = blob.Commit(ctx, "name.car")
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

// refuse answers with an error. Its message contains a secret, as a real server's message may.
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
