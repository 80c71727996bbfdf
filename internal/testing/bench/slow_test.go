package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
)

func TestSlowDelaysEachOpenReadAndListing(t *testing.T) {
	const latency = 20 * time.Millisecond
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}

	files := slow{source.Local(), latency}
	file, err := files.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing was written

	buffer := make([]byte, 3)
	calls := map[string]func() error{
		"open": func() error {
			again, err := files.Open(path)
			if err == nil {
				err = again.Close()
			}
			return err
		},
		"read":    func() error { _, err := file.Read(buffer); return err },
		"read at": func() error { _, err := file.ReadAt(buffer, 4); return err },
		"list":    func() error { _, err := files.ReadDir(dir); return err },
	}

	for name, call := range calls {
		began := time.Now()
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took < latency {
			t.Errorf("%s took %v", name, took)
		}
	}

	if _, err := files.Open(filepath.Join(dir, "absent")); !os.IsNotExist(err) {
		t.Errorf("absent: %v", err)
	}
}
