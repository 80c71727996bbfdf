package store_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func isNote(r *http.Request) bool { return strings.Contains(r.URL.Path, "/.guppy-me-1-") }

// arrives fails the test unless a channel is closed soon.
func arrives(t *testing.T, what string, arrived <-chan struct{}) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(20 * time.Second):
		t.Errorf("%s waits", what)
	}
}

// TestPartsDoNotWaitForTheNote keeps the answer to the note that names the upload until a part is sent.
func TestPartsDoNotWaitForTheNote(t *testing.T) {
	s := newS3(t)
	var notes atomic.Int64
	var once sync.Once
	part := make(chan struct{})

	s.server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch {
		case isPart(r):
			once.Do(func() { close(part) })
		case r.Method == http.MethodPut && isNote(r) && notes.Add(1) == 2:
			arrives(t, "a part", part)
		}
		pass.ServeHTTP(w, r)
	})

	content := random(20 << 20)
	if err := s.put(t.Context(), content); err != nil {
		t.Fatal(err)
	}
	if notes.Load() != 2 {
		t.Errorf("the note was written %d times", notes.Load())
	}
	s.checkHolds(content)
	s.checkClean(1)
}

// TestTheNoteGoesWhileTheBlobIsRecorded checks that a committed blob does not wait for the end of its note, and that
// the note is gone when the blob is ended.
func TestTheNoteGoesWhileTheBlobIsRecorded(t *testing.T) {
	s := newS3(t)
	going, recorded := make(chan struct{}), make(chan struct{})
	s.server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete && isNote(r) {
			close(going)
			arrives(t, "the record", recorded)
		}
		pass.ServeHTTP(w, r)
	})

	blob, err := s.store.Create(t.Context(), "me-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Write(random(5 << 20)); err != nil {
		t.Fatal(err)
	}
	if err := blob.Commit(t.Context(), "name.car"); err != nil {
		t.Fatal(err)
	}

	arrives(t, "the end of the note", going)
	close(recorded)
	if err := blob.Abort(); err != nil {
		t.Error(err)
	}
	if left, err := s.store.Unfinished(t.Context(), ""); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	s.checkClean(1)
}
