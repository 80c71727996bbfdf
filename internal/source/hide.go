package source

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// hiding is a file system in which some paths are not found when their directories are read.
type hiding struct {
	FS
	hidden map[string]bool
}

// Hide returns fsys without the given paths, which ReadDir does not list. A source that holds guppy's own files must not
// take them in: they change while it is read.
func Hide(fsys FS, paths ...string) (FS, error) {
	h := hiding{fsys, map[string]bool{}}
	for _, path := range paths {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("hide %s: %w", path, err)
		}
		h.hidden[absolute] = true
	}
	return h, nil
}

func (h hiding) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := h.FS.ReadDir(path)
	return slices.DeleteFunc(entries, func(entry fs.DirEntry) bool {
		return h.hidden[filepath.Join(path, entry.Name())]
	}), err
}
