package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
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
	blob, err := d.Create(t.Context(), owner)
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
		commit(t, blob)
		content, err := os.ReadFile(filepath.Join(path, "name.car"))
		if err != nil || string(content) != "content" {
			t.Errorf("%q, %v", content, err)
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

func TestDiscardRemovesWhatAnOwnerLeft(t *testing.T) {
	d, path := open(t)
	begin(t, d, "me-1", "left")
	begin(t, d, "me-1", "left too")
	begin(t, d, "me-11", "another's")
	if err := begin(t, d, "me-1", "kept").Commit(t.Context(), "kept.car"); err != nil {
		t.Fatal(err)
	}

	for prefix, want := range map[string]int{"": 3, "me-1": 3, "me-11": 1, "you": 0} {
		if found := unfinished(t, d, prefix); len(found) != want {
			t.Errorf("of %q: %v", prefix, found)
		}
	}

	for _, found := range unfinished(t, d, "") {
		for range 2 { // the second time it is gone
			if err := d.Discard(t.Context(), found); err != nil {
				t.Error(err)
			}
		}
	}

	if got := names(t, path); len(got) != 1 || got[0] != "kept.car" {
		t.Errorf("left %q", got)
	}
}

func unfinished(t *testing.T, d *Directory, prefix string) []Unfinished {
	t.Helper()
	found, err := d.Unfinished(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDiscardRemovesNothingElse(t *testing.T) {
	d, path := open(t)
	if err := begin(t, d, "me", "kept").Commit(t.Context(), "kept.car"); err != nil {
		t.Fatal(err)
	}
	begin(t, d, "other", "going on")
	name := unfinished(t, d, "other")[0].Name

	outside := filepath.Join(filepath.Dir(path), "outside-1.tmp")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, wrong := range []Unfinished{
		{}, {Owner: "me", Name: "kept.car"}, {Owner: "me", Name: name}, {Owner: "outside", Name: "../outside-1.tmp"},
		{Owner: "..", Name: ".guppy-../outside-1.tmp"},
	} {
		if err := d.Discard(t.Context(), wrong); err == nil {
			t.Errorf("removed %+v", wrong)
		}
	}

	if _, err := os.Stat(outside); err != nil || len(names(t, path)) != 2 {
		t.Errorf("%v, left %q", err, names(t, path))
	}
}

func TestOnlyAnExistingDirectoryIsOpened(t *testing.T) {
	top := t.TempDir()
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for path, want := range map[string]error{
		top: nil, file: syscall.ENOTDIR, filepath.Join(top, "not mounted"): fs.ErrNotExist,
	} {
		if _, err := OpenExisting(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}

	if got := names(t, top); len(got) != 1 {
		t.Errorf("made %q", got)
	}
}

func TestNothingIsDoneWhenTheContextHasEnded(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	defer func() { _ = blob.Abort() }()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	for name, call := range map[string]func() error{
		"create":     func() error { _, err := d.Create(ctx, "me"); return err },
		"sync":       func() error { return blob.Sync(ctx) },
		"commit":     func() error { return blob.Commit(ctx, "name.car") },
		"unfinished": func() error { _, err := d.Unfinished(ctx, ""); return err },
		"discard":    func() error { return d.Discard(ctx, unfinished(t, d, "me")[0]) },
		"identify":   func() error { _, err := d.Identify(ctx); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if got := names(t, path); len(got) != 1 {
		t.Errorf("the store has %q", got)
	}
}

func TestAStoreThatIsGoneIsAnError(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}

	if err := blob.Commit(t.Context(), "name.car"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit: %v", err)
	}
	if err := blob.Abort(); err != nil {
		t.Errorf("abort after that: %v", err)
	}

	if _, err := d.Create(t.Context(), "me"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create: %v", err)
	}
}

// TestAnEmptyTrashGoes: a process may be killed between the last removal and that of the trash.
func TestAnEmptyTrashGoes(t *testing.T) {
	dir := t.TempDir()
	files, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}

	trash := filepath.Join(dir, ".guppy-trash")
	if err := os.Mkdir(trash, 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := files.Trashed(t.Context(), ""); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := os.Stat(trash); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the trash is still there: %v", err)
	}
}
