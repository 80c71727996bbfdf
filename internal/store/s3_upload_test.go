package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/store/s3test"
)

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

	if err := blob.Commit(t.Context(), name); err != nil {
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

	if err := living.Commit(t.Context(), "name.car"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(living.Abort(), dead.Abort()); err != nil {
		t.Error(err)
	}

	s.checkClean(1)
}
