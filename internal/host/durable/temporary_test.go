package durable

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFileWithoutAName(t *testing.T) {
	top := t.TempDir()
	file, err := CreateUnnamed(top)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := file.WriteAt([]byte("content"), 10); err != nil {
		t.Error(err)
	}
	read := make([]byte, 7)
	if _, err := file.ReadAt(read, 10); err != nil || string(read) != "content" {
		t.Errorf("%q, %v", read, err)
	}

	if names, err := os.ReadDir(top); err != nil || len(names) > 0 {
		t.Errorf("the directory has %v: %v", names, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// TestWhatHadANameForAMoment checks that such files are removed once they are old, and that no others are.
func TestWhatHadANameForAMoment(t *testing.T) {
	top := t.TempDir()
	left := []string{".guppy-123.tmp", "guppy-dag-123.tmp", "guppy-directory-123"}
	others := []string{".guppy-store", ".guppy-z6MkTest-1-77-1.tmp", "guppy.db", "guppy-directory-x", ".guppy-.tmp",
		".guppy-9.tmp"}
	for _, name := range append(left, others...) {
		path := filepath.Join(top, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}

		// All files but one are old.
		if old := time.Now().Add(-2 * unnamedAge); name != ".guppy-9.tmp" {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}

	if err := SweepUnnamed(top); err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(top, name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}

	for _, name := range others {
		if _, err := os.Stat(filepath.Join(top, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestADraftThatSomebodyRemoves checks that a removed draft is made again.
func TestADraftThatSomebodyRemoves(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "marker")
	removed := 0
	remove := func(file *os.File) error {
		name := filepath.Base(file.Name())
		if IsDraft(name, "marker") && removed < 3 {
			removed++
			return os.Remove(file.Name())
		}
		return file.Sync()
	}

	if err := syncer(remove).publishFile(path, []byte("content"), Shared); err != nil || removed != 3 {
		t.Errorf("removed %d times: %v", removed, err)
	}
	checkAlone(t, path)
}
