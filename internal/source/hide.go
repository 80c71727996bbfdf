package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOwnFiles is returned for a source that lies in a directory to which guppy itself writes.
var ErrOwnFiles = errors.New("guppy's own files can't be a source")

// hiding is a file system that hides some of its files.
type hiding struct {
	FS
	// same holds the hidden files by device and inode, whatever path leads to them. others holds the files of systems
	// that have neither.
	same   map[fileKey]bool
	others []fs.FileInfo
	// parents holds, by name, the directories of hidden files: a file may be created only later.
	parents map[string][]fs.FileInfo
}

// Hide returns fsys without the files at the given paths. They are hidden under any name that leads to them, and
// even if they are created only later. A source that contains guppy's own files must not include them: they hold
// keys, and they change while the source is read.
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

		// The file may be created only later, or be replaced by another one.
		parent, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("hide own files: %w", err)
		}
		name := filepath.Base(path)
		h.parents[name] = append(h.parents[name], parent)
	}

	return h, nil
}

// hide adds a file that exists.
func (h *hiding) hide(info fs.FileInfo) {
	if key := keyOfFile(info); key != (fileKey{}) {
		h.same[key] = true
		return
	}
	h.others = append(h.others, info)
}

// Lstat returns fs.ErrNotExist for a hidden file.
func (h hiding) Lstat(path string) (fs.FileInfo, error) {
	info, err := h.FS.Lstat(path)
	return h.unlessHidden("lstat", path, info, err)
}

// Stat returns fs.ErrNotExist for a hidden file.
func (h hiding) Stat(path string) (fs.FileInfo, error) {
	info, err := h.FS.Stat(path)
	return h.unlessHidden("stat", path, info, err)
}

// Traits returns the traits of the underlying file system.
func (h hiding) Traits(path string) Traits { return TraitsAt(h.FS, path) }

// Followed passes the call on to the underlying file system.
func (h hiding) Followed(path string) {
	if watcher, ok := h.FS.(follower); ok {
		watcher.Followed(path)
	}
}

// fileKey identifies a file. The zero value stands for a file that the system does not identify.
type fileKey struct{ device, inode uint64 }

func (h hiding) unlessHidden(op, path string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err == nil && h.hides(path, info) {
		return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return info, err
}

// hides reports whether the file at path is hidden, by its identity or by its name in its directory.
func (h hiding) hides(path string, info fs.FileInfo) bool {
	if h.same[keyOfFile(info)] {
		return true
	}

	for _, hidden := range h.others {
		if sameFile(info, hidden) {
			return true
		}
	}

	// A file that was created after Hide is known only by its name and its directory.
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

// RefuseWithin returns ErrOwnFiles if the source at path is one of the directories or lies below one, under any
// name.
func RefuseWithin(path string, directories ...string) error {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}

	for _, directory := range directories {
		refused, err := os.Stat(directory)
		if err != nil {
			// A directory that does not exist contains nothing.
			continue
		}

		for at := resolved; ; at = filepath.Dir(at) {
			if info, err := os.Stat(at); err == nil && os.SameFile(info, refused) {
				return fmt.Errorf("%w: %s lies in %s", ErrOwnFiles, path, directory)
			}

			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}
