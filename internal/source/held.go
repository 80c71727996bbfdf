package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Held is a file system that reads one source through a handle: a mount that is detached, or a directory that is put in
// the source's place, changes nothing of what it reads. Present reports when that has happened. Paths outside the
// source are those of the operating system. A Held is safe for concurrent use until Close.
type Held struct {
	path string
	// dir is the source or, of a file, the directory that has it.
	dir *os.File
	fd  int
	// file is the name of a source that is a file, else "".
	file string
	// info describes dir, on is the mount that the source lies on.
	info    fs.FileInfo
	on      mountKey
	options Options
	// seen is what the source was when it was opened.
	seen sqlrepo.Sighting

	closing sync.Once
	mu      sync.Mutex
	// below are the mount points below the source, and symlinks that lead to other mounts, by their paths relative to it.
	below map[string]heldMount
	// covered is set once a directory was read on a mount that has come since the source was opened.
	covered error
}

// Hold opens the source at path, a directory or a file, to be scanned with these options: mount points below it that
// are excluded may come and go. It returns ErrGone when the source goes away meanwhile.
func Hold(path string, options Options) (*Held, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	h := &Held{path: path, options: options}
	at := path
	if !info.IsDir() {
		at, h.file = filepath.Dir(path), filepath.Base(path)
	}
	if h.dir, err = os.OpenFile(at, openHandle, 0); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	h.fd = int(h.dir.Fd())
	if err := h.recognize(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrGone, err), h.dir.Close())
	}
	return h, nil
}

// recognize notes what was opened, and makes sure that the path leads to it.
func (h *Held) recognize() (err error) {
	if h.info, err = h.dir.Stat(); err != nil {
		return err
	}
	if h.on, err = keyOf(h.path); err != nil {
		return err
	}
	found := survey(h.path)
	h.seen, h.below = found.Sighting, make(map[string]heldMount, len(found.below))
	for i, m := range h.seen.Below {
		key, err := keyAt(h.fd, m.Point)
		if err != nil || h.Ignores(m) {
			continue // what can't be looked at is not read either
		}
		h.below[m.Point] = heldMount{m, key, found.below[i].automatic}
	}
	return h.Present(h.path)
}

// Path is where the source is.
func (h *Held) Path() string { return h.path }

// Close closes the handle, once. Files that were opened stay open.
func (h *Held) Close() error {
	var err error
	h.closing.Do(func() { h.fd, err = -1, h.dir.Close() })
	return err
}

// within returns the path relative to the handle, and whether it lies there.
func (h *Held) within(path string) (string, bool) {
	rest, below := strings.CutPrefix(path, h.path)
	switch {
	case !below, h.file != "" && rest != "":
		return "", false
	case h.file != "":
		return h.file, true
	case rest == "":
		return ".", true
	case os.IsPathSeparator(rest[0]):
		return rest[1:], rest != "/"
	case os.IsPathSeparator(h.path[len(h.path)-1]):
		return rest, true
	}
	return "", false
}

// Lstat describes what is at path.
func (h *Held) Lstat(path string) (fs.FileInfo, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return lstatAt(h.fd, rest, path)
	}
	return os.Lstat(path)
}

// Stat describes what is at path after following symlinks.
func (h *Held) Stat(path string) (fs.FileInfo, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return statAt(h.fd, rest, path)
	}
	return os.Stat(path)
}

// Readlink returns what the symlink at path holds.
func (h *Held) Readlink(path string) (string, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return readlinkAt(h.fd, rest, path)
	}
	return os.Readlink(path)
}

// ReadDir returns what the directory at path holds.
func (h *Held) ReadDir(path string) ([]fs.DirEntry, error) {
	dir, err := h.open(path, openDirectory)
	if err != nil {
		return nil, err
	}
	if _, ok := h.within(path); ok {
		h.notice(dir, path)
	}
	return readNames(h, dir, path)
}

// Open opens what is at path for reading.
func (h *Held) Open(path string) (File, error) {
	file, err := h.open(path, openFile)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (h *Held) open(path string, flags int) (*os.File, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return openAt(h.fd, rest, path, flags)
	}
	return os.OpenFile(path, flags, 0)
}
