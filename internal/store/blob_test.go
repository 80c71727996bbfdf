package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func read(t *testing.T, blob Blob) string {
	t.Helper()
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, 1<<20))
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

func commit(t *testing.T, blob Blob) {
	t.Helper()
	if err := blob.Commit(t.Context(), "name.car"); err != nil {
		t.Fatal(err)
	}
}

func temporary(t *testing.T, d *Directory, path string) string {
	t.Helper()
	return filepath.Join(path, unfinished(t, d, "me")[0].Name)
}

func TestABlobIsReadBeforeAndAfterItIsCommitted(t *testing.T) {
	d, _ := open(t)
	blob := begin(t, d, "me", "content")
	if err := blob.Sync(t.Context()); err != nil || read(t, blob) != "content" {
		t.Errorf("%q, %v", read(t, blob), err)
	}

	if _, err := blob.Write([]byte(", more")); err != nil {
		t.Fatal(err)
	}

	for range 2 {
		commit(t, blob)
		if got := read(t, blob); got != "content, more" {
			t.Errorf("committed as %q", got)
		}
	}

	if err := blob.Commit(t.Context(), "other.car"); err == nil {
		t.Error("it was committed under another name")
	}
}

func TestAbortEndsWhatIsNotCommitted(t *testing.T) {
	d, path := open(t)
	committed, aborted := begin(t, d, "me", "content"), begin(t, d, "me", "other content")
	commit(t, committed)

	for range 2 {
		if err := errors.Join(committed.Abort(), aborted.Abort()); err != nil {
			t.Error(err)
		}
	}

	if got := names(t, path); len(got) != 1 || got[0] != "name.car" {
		t.Errorf("the store has %q", got)
	}

	if err := aborted.Commit(t.Context(), "aborted.car"); err == nil {
		t.Error("what was aborted is committed")
	}
}

func TestABlobThatSomebodyElseDiscardedIsNotCommitted(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	for _, found := range unfinished(t, d, "me") {
		if err := d.Discard(t.Context(), found); err != nil {
			t.Fatal(err)
		}
	}

	for range 2 {
		if err := blob.Commit(t.Context(), "name.car"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}

	if err := blob.Abort(); err != nil || len(names(t, path)) != 0 {
		t.Errorf("left %q: %v", names(t, path), err)
	}
}

// TestARenameWhoseAnswerIsLost renames the file as a file server does whose answer is lost. The rename that is
// sent again then finds nothing.
func TestARenameWhoseAnswerIsLost(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	if err := os.Rename(temporary(t, d, path), filepath.Join(path, "name.car")); err != nil {
		t.Fatal(err)
	}
	commit(t, blob)
	if got := read(t, blob); got != "content" {
		t.Errorf("committed as %q", got)
	}
}

func TestACommitThatFailsMayBeTriedAgain(t *testing.T) {
	d, path := open(t)
	blob := begin(t, d, "me", "content")
	final := filepath.Join(path, "name.car")

	// A directory of the name is in the way.
	if err := os.Mkdir(final, 0o700); err != nil {
		t.Fatal(err)
	}

	if err := blob.Commit(t.Context(), "name.car"); err == nil {
		t.Error("it is committed")
	}

	if got := read(t, blob); got != "content" {
		t.Errorf("reads as %q after that", got)
	}

	if err := os.Remove(final); err != nil {
		t.Fatal(err)
	}
	commit(t, blob)
}

// TestWhatCouldNotBeSyncedIsNotCommitted checks that a commit fails after a failed sync, even if a later sync
// would succeed.
func TestWhatCouldNotBeSyncedIsNotCommitted(t *testing.T) {
	d, path := open(t)
	for _, fail := range []func(Blob) error{
		func(b Blob) error { return b.Sync(t.Context()) },
		func(b Blob) error { _, err := b.Write([]byte("lost")); return err },
		func(b Blob) error { return b.Commit(t.Context(), "name.car") },
	} {
		blob := begin(t, d, "me", "content").(*directoryBlob)

		good := blob.file
		blob.file = closedFile(t)
		if err := fail(blob); err == nil {
			t.Error("nothing failed")
		}

		blob.file = good
		if err := blob.Commit(t.Context(), "name.car"); err == nil {
			t.Error("it is committed")
		}

		if err := blob.Abort(); err != nil || len(names(t, path)) != 0 {
			t.Errorf("left %q: %v", names(t, path), err)
		}
	}
}

func closedFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}
