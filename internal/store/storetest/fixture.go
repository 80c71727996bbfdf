package storetest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
)

type fixture struct {
	*testing.T
	Subject
	store.Store
	open func() store.Store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// checkError checks that err is want.
func (f *fixture) checkError(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		f.Errorf("%s: %v, want %v", what, err, want)
	}
}

// begin writes a blob that is aborted when the test ends.
func (f *fixture) begin(owner string, content []byte) store.Blob {
	f.Helper()
	blob, err := f.Create(f.Context(), owner)
	f.must(err)
	f.Cleanup(func() { f.must(blob.Abort()) })
	_, err = blob.Write(content)
	f.must(errors.Join(err, blob.Sync(f.Context())))
	return blob
}

func (f *fixture) stage(owner, name string, content []byte) store.Blob {
	f.Helper()
	blob := f.begin(owner, content)
	f.must(blob.Stage(f.Context(), name, func(int64) {}))
	return blob
}

func (f *fixture) commit(name string, content []byte) store.Blob {
	f.Helper()
	blob := f.begin("me", content)
	f.must(blob.Commit(f.Context(), name))
	return blob
}

// listed returns the lengths of all committed blobs by name.
func (f *fixture) listed() map[string]int64 {
	f.Helper()
	found := map[string]int64{}
	for blob, err := range f.Committed(f.Context()) {
		f.must(err)
		if _, twice := found[blob.Name]; twice {
			f.Errorf("%q is listed twice", blob.Name)
		}
		found[blob.Name] = blob.Size
	}
	return found
}

func (f *fixture) checkListed(want map[string]int64) {
	f.Helper()
	if !f.Keeps {
		want = nil
	}
	if got := f.listed(); !maps.Equal(got, want) {
		f.Errorf("%d are listed, want %d: %v", len(got), len(want), got)
	}
}

// errGone is the error of a store for a blob that does not exist.
func (f *fixture) errGone() error {
	if f.Keeps {
		return fs.ErrNotExist
	}
	return store.ErrNotKept
}

func (f *fixture) checkGone(name string) {
	f.Helper()
	_, err := f.Size(f.Context(), name)
	f.checkError("size", err, f.errGone())
	_, err = f.Open(f.Context(), name)
	f.checkError("open", err, f.errGone())
	_, err = f.OpenAt(f.Context(), name)
	f.checkError("open at random", err, f.errGone())
}

// random returns bytes that depend only on the length.
func random(length int) []byte {
	content := make([]byte, length)
	_, _ = rand.NewChaCha8([32]byte{byte(length)}).Read(content) // never fails
	return content
}

func (f *fixture) read(name string) []byte {
	f.Helper()
	in, err := f.Open(f.Context(), name)
	f.must(err)
	content, err := io.ReadAll(in)
	f.must(errors.Join(err, in.Close()))
	return content
}
