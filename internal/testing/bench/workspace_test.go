package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestWorkspace(t *testing.T) {
	for name, keep := range map[string]bool{"removed": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			w, err := newWorkspace(t.TempDir(), 1, keep)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := w.fresh("output")
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "old"), nil, 0o600)
			}
			if err == nil {
				_, err = w.fresh("output")
			}
			if err != nil {
				t.Fatal(err)
			}

			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("a fresh directory holds %v (%v)", left, err)
			}

			if err := errors.Join(w.done(dir), w.close()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(dir); (err == nil) != keep {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestWorkspaceNeedsSpace(t *testing.T) {
	parent := t.TempDir()
	if _, err := newWorkspace(parent, math.MaxInt64, false); err == nil {
		t.Error("no file system is that large")
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
	if got := bestParent(math.MaxInt64); got != os.TempDir() {
		t.Errorf("without room in memory: %s", got)
	}
}
