package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOwnFiles is returned for a source that lies in what guppy itself writes.
var ErrOwnFiles = errors.New("guppy's own files can't be a source")

// hiding is a file system without some of its files.
type hiding struct {
	FS
	// same are what is hidden by whatever path it is reached, by device and inode; others where the system has neither.
	same   map[fileKey]bool
	others []fs.FileInfo
	// parents are the directories that hold a hidden name: such a file may not be there yet.
	parents map[string][]fs.FileInfo
}

// Hide returns fsys as if the given paths were not there, whether they are reached by these or other names, or will be
// made only later. A source that holds guppy's own files must not take them in: keys are among them, and they change
// while it is read.
func Hide(fsys FS, paths ...string) (FS, error) {
	h := hiding{FS: fsys, same: map[fileKey]bool{}, parents: map[string][]fs.FileInfo{}}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil {
			h.hide(info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("hide own files: %w", err)
		}
		parent, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("hide own files: %w", err)
		}
		name := filepath.Base(path)
		h.parents[name] = append(h.parents[name], parent)
	}
	return h, nil
}

func (h *hiding) hide(info fs.FileInfo) {
	if key := keyOfFile(info); key != (fileKey{}) {
		h.same[key] = true
		return
	}
	h.others = append(h.others, info)
}

// Lstat finds nothing where something hidden is.
func (h hiding) Lstat(path string) (fs.FileInfo, error) {
	info, err := h.FS.Lstat(path)
	return h.unlessHidden("lstat", path, info, err)
}

// Stat finds nothing where something hidden is.
func (h hiding) Stat(path string) (fs.FileInfo, error) {
	info, err := h.FS.Stat(path)
	return h.unlessHidden("stat", path, info, err)
}

// Traits are those of what it hides files of.
func (h hiding) Traits(path string) Traits { return TraitsAt(h.FS, path) }

// Followed tells what it hides files of.
func (h hiding) Followed(path string) {
	if watcher, ok := h.FS.(follower); ok {
		watcher.Followed(path)
	}
}

// fileKey identifies a file; the zero value is that of one that the system does not identify.
type fileKey struct{ device, inode uint64 }

func (h hiding) unlessHidden(op, path string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err == nil && h.hides(path, info) {
		return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return info, err
}

func (h hiding) hides(path string, info fs.FileInfo) bool {
	if h.same[keyOfFile(info)] {
		return true
	}
	for _, hidden := range h.others {
		if sameFile(info, hidden) {
			return true
		}
	}
	parents := h.parents[filepath.Base(path)]
	if len(parents) == 0 {
		return false
	}
	in, err := h.FS.Stat(filepath.Dir(path))
	for _, parent := range parents {
		if err == nil && sameFile(in, parent) {
			return true
		}
	}
	return false
}

// RefuseWithin returns ErrOwnFiles for a source that is one of the directories or lies below one, by whatever name.
func RefuseWithin(path string, directories ...string) error {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, directory := range directories {
		own, err := os.Stat(directory)
		if err != nil {
			continue // what is not there holds nothing
		}
		for at := resolved; ; at = filepath.Dir(at) {
			if info, err := os.Stat(at); err == nil && os.SameFile(info, own) {
				return fmt.Errorf("%w: %s lies in %s", ErrOwnFiles, path, directory)
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}
