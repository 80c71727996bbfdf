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

// Held is a file system that reads one source through a handle. It keeps reading the same source when a mount is
// detached or a directory is put in the source's place; Present reports when that has happened. Paths outside the
// source are those of the operating system. A Held is safe for concurrent use until Close.
type Held struct {
	path string
	// dir is the source or, if the source is a file, the directory that contains it.
	dir *os.File
	fd  int
	// file is the name of the source if it is a file, otherwise "".
	file string
	// info describes dir. on is the mount of the source.
	info    fs.FileInfo
	on      mountKey
	options Options
	// seen describes the source as it was when it was opened.
	seen sqlrepo.Sighting

	closing sync.Once
	mu      sync.Mutex
	// below holds the mount points below the source, and the symlinks that lead to other mounts, by their paths
	// relative to the source.
	below map[string]heldMount
	// covered is the error of Present once a directory was read on a mount that was made after the source was
	// opened and covers a part of the source.
	covered error
}

// Hold opens the source at path, a directory or a file, to be scanned with the given options. Mount points below
// the source that the options exclude may come and go. Hold returns ErrGone if the source disappears while it is
// opened.
func Hold(path string, options Options) (*Held, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}

	h := &Held{path: path, options: options}
	// The handle is always a directory.
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

// recognize records what was opened and makes sure that the path leads there.
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
			// A mount that cannot be looked at is not read either.
			continue
		}
		h.below[m.Point] = heldMount{m, key, found.below[i].automatic}
	}

	return h.Present(h.path)
}

// Path returns the path of the source.
func (h *Held) Path() string { return h.path }

// Close closes the handle. Further calls do nothing. Files that were opened stay open.
func (h *Held) Close() error {
	var err error
	h.closing.Do(func() { h.fd, err = -1, h.dir.Close() })
	return err
}

// within returns path relative to the handle, and false if path lies outside the source.
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

// Lstat describes the file at path without following a symlink.
func (h *Held) Lstat(path string) (fs.FileInfo, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return lstatAt(h.fd, rest, path)
	}
	return os.Lstat(path)
}

// Stat describes the file at path after following symlinks.
func (h *Held) Stat(path string) (fs.FileInfo, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return statAt(h.fd, rest, path)
	}
	return os.Stat(path)
}

// Readlink returns the target of the symlink at path.
func (h *Held) Readlink(path string) (string, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return readlinkAt(h.fd, rest, path)
	}
	return os.Readlink(path)
}

// ReadDir returns the entries of the directory at path.
func (h *Held) ReadDir(path string) ([]fs.DirEntry, error) {
	dir, err := h.openDirectory(path)
	if err != nil {
		return nil, err
	}
	if _, ok := h.within(path); ok {
		h.notice(dir, path)
	}
	return readNames(h, dir, path)
}

// Open opens the file at path for reading.
func (h *Held) Open(path string) (File, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return openFileAt(h.fd, rest, path, openFile)
	}
	return local{}.Open(path)
}

func (h *Held) openDirectory(path string) (*os.File, error) {
	if rest, ok := h.within(path); ok {
		defer runtime.KeepAlive(h)
		return openAt(h.fd, rest, path, openDirectory)
	}
	return os.OpenFile(path, openDirectory, 0)
}
