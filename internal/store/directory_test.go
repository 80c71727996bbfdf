package store

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T) (*Directory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "not there yet", "sh%20ards #1?")
	d, err := OpenDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func begin(t *testing.T, d *Directory, owner, content string) Blob {
	t.Helper()
	blob, err := d.Create(context.Background(), owner)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return blob
}

func names(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestABlobHasItsNameOnceItIsWhole(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	if _, err := os.Stat(filepath.Join(path, "name.car")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there before it is committed: %v", err)
	}
	for range 2 { // the same name again is the same content
		location, err := blob.Commit(context.Background(), "name.car")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(parsed.Path)
		if err != nil || string(content) != "content" || parsed.Scheme != "file" {
			t.Errorf("%s: %q, %v", location, content, err)
		}
		blob = begin(t, d, "me", "content")
	}
	if err := blob.Abort(); err != nil {
		t.Error(err)
	}
	if got := names(t, path); len(got) != 1 || got[0] != "name.car" {
		t.Errorf("the store has %q", got)
	}
}

func TestCleanRemovesWhatAnOwnerLeft(t *testing.T) {
	d, path := open(t)
	begin(t, d, "me-1", "left")
	begin(t, d, "me-1", "left too")
	begin(t, d, "me-11", "another's")
	if _, err := begin(t, d, "me-1", "kept").Commit(context.Background(), "kept.car"); err != nil {
		t.Fatal(err)
	}
	removed, err := d.Clean(context.Background(), "me-1")
	if err != nil || removed != 2 || len(names(t, path)) != 2 {
		t.Errorf("removed %d, left %q: %v", removed, names(t, path), err)
	}
}

func TestAStoreThatIsGoneIsAnError(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Commit(context.Background(), "name.car"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit: %v", err)
	}
	if err := blob.Abort(); err != nil {
		t.Errorf("abort after that: %v", err)
	}
	if _, err := d.Create(context.Background(), "me"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create: %v", err)
	}
}
