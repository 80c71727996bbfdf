package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const sharedMemory = "/dev/shm"

// workspace is the temporary directory of a benchmark.
type workspace struct {
	dir   string
	tmpfs bool
	keep  bool
}

// newWorkspace makes a directory with this much space below parent, or in the best place if parent is "".
func newWorkspace(parent string, need int64, keep bool) (*workspace, error) {
	if parent == "" {
		parent = bestParent(need)
	}

	free, tmpfs, err := space(parent)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", parent, err)
	}

	if free < need {
		return nil, fmt.Errorf("%s has %d MiB free, the benchmark needs %d (see -dir and -corpus)",
			parent, free>>20, need>>20)
	}

	dir, err := os.MkdirTemp(parent, "guppy-bench-")
	if err != nil {
		return nil, err
	}

	// The database server runs as another user if this program runs as root.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &workspace{dir: dir, tmpfs: tmpfs, keep: keep}, nil
}

func bestParent(need int64) string {
	if free, tmpfs, err := space(sharedMemory); err == nil && tmpfs && free >= need {
		return sharedMemory
	}
	return os.TempDir()
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

// fresh makes an empty directory in place of one with the same name.
func (w *workspace) fresh(name string) (string, error) {
	dir := w.path(name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.Mkdir(dir, 0o755)
}

// done removes what fresh made, unless it is to be kept.
func (w *workspace) done(dir string) error {
	if w.keep {
		return nil
	}
	return os.RemoveAll(dir)
}

func (w *workspace) close() error { return w.done(w.dir) }
