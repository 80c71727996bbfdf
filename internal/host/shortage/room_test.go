package shortage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// TestAFullFileSystemIsNamed fills a file system, by writing and by making files.
func TestAFullFileSystemIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=8"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0) //nolint:errcheck // the directory could not be removed

	file := filepath.Join(dir, "below", "file")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}

	err := os.WriteFile(file, make([]byte, 1<<20), 0o600)
	if !shortage.Full(err) || shortage.Place(err) != file {
		t.Fatal(err)
	}

	want := regexp.MustCompile(`^the file system of ` + regexp.QuoteMeta(file) +
		` had no room; without what did not fit, it has 0 B free, and room for \d more files`)
	if text := shortage.Room(shortage.Place(err)); !want.MatchString(text) {
		t.Error(text)
	}

	// An error that was noted has the free space as it was before the file was removed.
	noted := shortage.Noted(fmt.Errorf("write: %w", err))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want = regexp.MustCompile(`^the file system of .* had no room: 0 B were free; without what .*, it has 64\.0 KiB`)
	if text := shortage.Explain(noted); !shortage.Full(noted) || !want.MatchString(text) {
		t.Error(text)
	}
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); !shortage.Full(err) {
		t.Fatal(err)
	}

	// A path that does not exist is on the file system of its parent.
	if text := shortage.Room(filepath.Join(dir, "gone", "file")); !regexp.MustCompile(regexp.QuoteMeta(dir) +
		" had no room; .* 0 B free").MatchString(text) {
		t.Error(text)
	}
}
