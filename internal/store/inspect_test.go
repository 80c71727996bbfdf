package store

import (
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// TestInspecting describes and reads blobs, and sets one aside.
func TestInspecting(t *testing.T) {
	directory, path := open(t)
	noError(t, os.WriteFile(filepath.Join(path, "a b.car"), []byte("content"), 0o600))
	noError(t, os.Mkdir(filepath.Join(path, "directory"), 0o700))

	if size, err := directory.Size(t.Context(), "a b.car"); size != 7 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if _, err := directory.Size(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("size of none: %v", err)
	}
	if _, err := directory.Size(t.Context(), "directory"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("size of a directory: %v", err)
	}
	if _, err := directory.Open(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open none: %v", err)
	}

	file, err := directory.Open(t.Context(), "a b.car")
	noError(t, err)
	content, err := io.ReadAll(file)
	noError(t, errors.Join(err, file.Close()))
	if string(content) != "content" {
		t.Errorf("read %q", content)
	}

	location, err := url.Parse(BlobURL(directory.URL(), "a b.car"))
	if want := filepath.Join(path, "a b.car"); err != nil || location.Scheme != "file" || location.Path != want {
		t.Errorf("location %s, want %s: %v", location, want, err)
	}

	trashed, err := directory.Trash(t.Context(), "me", "a b.car")
	noError(t, err)
	for range 2 { // the second time it is gone
		aside, err := directory.SetAside(t.Context(), trashed)
		noError(t, err)
		if _, err := directory.Size(t.Context(), aside); err != nil {
			t.Errorf("set aside as %s: %v", aside, err)
		}
	}

	if _, err := directory.Size(t.Context(), "a b.car"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("size of what is set aside: %v", err)
	}
}

// TestMark restores the identity of a store, and never sets another one.
func TestMark(t *testing.T) {
	directory, path := open(t)
	identity, err := directory.Identify(t.Context())
	noError(t, err)

	if err := directory.Mark(t.Context(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); err == nil {
		t.Error("it got another identity")
	}

	marker := filepath.Join(path, ".guppy-store")
	for _, damage := range []func() error{
		func() error { return os.Remove(marker) },
		func() error { return os.WriteFile(marker, []byte("?"), 0o600) },
	} {
		noError(t, damage())
		noError(t, directory.Mark(t.Context(), identity))
		if got, err := directory.Marker(t.Context()); got != identity || err != nil {
			t.Errorf("identity %s, want %s: %v", got, identity, err)
		}
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
