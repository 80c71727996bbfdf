package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	info     fs.FileInfo
	on       mountKey
	excludes *Excludes
	// seen is what the source was when it was opened.
	seen sqlrepo.Sighting

	closing sync.Once
	mu      sync.Mutex
	// below are the mount points below the source, by their paths relative to it.
	below map[string]heldMount
	// covered is set once a directory was read on a mount that has come since the source was opened.
	covered error
}

// heldMount is a mount point that has to stay as it is.
type heldMount struct {
	visible
	key  mountKey
	seen sqlrepo.Mount
}

// Hold opens the source at path, a directory or a file. Mount points below it that are excluded may come and go. It
// returns ErrGone when the source goes away meanwhile.
func Hold(path string, excludes *Excludes) (*Held, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	h := &Held{path: path, excludes: excludes}
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
	var below []visible
	h.seen, below = survey(h.path)
	h.below = make(map[string]heldMount, len(below))
	for i, m := range below {
		key, err := keyAt(h.fd, m.point)
		if err != nil || h.Ignores(m.point) {
			continue // what can't be looked at is not read either
		}
		h.below[m.point] = heldMount{m, key, h.seen.Below[i]}
	}
	return h.Present(h.path)
}

// Ignores reports whether a mount point below the source is excluded.
func (h *Held) Ignores(point string) bool {
	return h.excludes.Match(sqlrepo.Path(strings.ReplaceAll(point, string(os.PathSeparator), "\x00")), true)
}

// Sighting returns what the source is now. Mount points that are excluded are not part of it.
func (h *Held) Sighting() sqlrepo.Sighting {
	seen, _ := survey(h.path)
	seen.Below = slices.DeleteFunc(seen.Below, func(m sqlrepo.Mount) bool { return h.Ignores(m.Point) })
	if h.file != "" {
		return seen
	}
	if dir, err := h.open(h.path, openDirectory); err == nil {
		_, err = dir.Readdirnames(1)
		seen.Empty = errors.Is(err, io.EOF)
		_ = dir.Close() // nothing was written
	}
	return seen
}

// Touch opens a directory below the source, so that an automounter mounts what belongs there.
func (h *Held) Touch(point string) {
	if dir, err := openAt(h.fd, point, joinOS(h.path, point), openDirectory); err == nil {
		_ = dir.Close() // nothing was written
	}
}

// Present returns an error unless the path still leads to the directory that is held, and the mount points below it are
// those that it had. The error says what was there and what is there now.
func (h *Held) Present(string) error {
	if _, err := h.dir.Stat(); err != nil {
		return err
	}
	if err := h.inPlace(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.covered != nil {
		return h.covered
	}
	for point, was := range h.below {
		key, err := keyAt(h.fd, point)
		if err == nil && key == was.key {
			continue
		}
		if was.key, err = h.mountedAgain(was); err != nil {
			return err
		}
		h.below[point] = was
	}
	return nil
}

// inPlace makes sure of the source's root.
func (h *Held) inPlace() error {
	at := h.path
	if h.file != "" {
		at = filepath.Dir(h.path)
	}
	now, err := os.Stat(at)
	if err != nil {
		return err
	}
	on, err := keyOf(h.path)
	if err != nil {
		return err
	}
	if sameFile(now, h.info) && (h.file == "" || on.sameMount(h.on)) {
		return nil
	}
	seen, _ := survey(h.path)
	if was, is := Describe(h.seen.Mount), Describe(seen.Mount); was != is {
		return fmt.Errorf("%s was %s when the run began, and is %s now", h.path, was, is)
	}
	return fmt.Errorf("%s has been replaced since the run began, within %s", h.path, Describe(seen.Mount))
}

// mountedAgain looks closely at a mount point that is not what it was. An automounter may have undone it and mounts it
// again when it is opened; where anybody else does so, its directory may have been seen empty meanwhile.
func (h *Held) mountedAgain(was heldMount) (now mountKey, err error) {
	point := joinOS(h.path, was.point)
	if was.automatic {
		h.Touch(was.point)
	}
	seen, _ := survey(h.path)
	for _, m := range seen.Below {
		switch {
		case m.Point != was.point:
			continue
		case Compare(was.seen, m) == Other:
			return now, fmt.Errorf("%s was %s when the run began, and is %s now", point, Describe(was.seen), Describe(m))
		case !was.automatic:
			return now, fmt.Errorf("%s, a mount of %s, was unmounted and mounted again since the run began", point, Describe(m))
		}
		return keyAt(h.fd, was.point)
	}
	return now, fmt.Errorf("%s was a mount of %s when the run began, and nothing is mounted there now", point,
		Describe(was.seen))
}

// notice looks on which mount a directory of the source lies. One that has come since the source was opened is watched
// from then on if it was mounted because somebody looked there; any other covers what was there before.
func (h *Held) notice(dir *os.File, path string) {
	key, err := keyAt(int(dir.Fd()), ".")
	if err != nil || !key.known() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.covered != nil || h.hasMount(key) {
		return
	}
	seen, below := survey(h.path)
	for i, m := range below {
		at, err := keyAt(h.fd, m.point)
		if _, watched := h.below[m.point]; watched && err == nil && at.onSameMount(key) {
			return // it was mounted again, of which Present judges
		} else if watched || h.Ignores(m.point) {
			continue
		}
		if !m.automatic && !mountsBelowItself(h.seen.Mount, seen.Below[i]) {
			h.covered = fmt.Errorf("%s has been mounted at %s since the run began, and covers what was there",
				Describe(seen.Below[i]), joinOS(h.path, m.point))
			return
		}
		if err == nil {
			m.automatic = true
			h.below[m.point] = heldMount{m, at, seen.Below[i]}
		}
	}
	if !h.hasMount(key) {
		h.covered = fmt.Errorf("%s was on a mount that had come since the run began and is gone now", path)
	}
}

// hasMount reports whether a directory lies on one of the mounts that are watched.
func (h *Held) hasMount(key mountKey) bool {
	if key.onSameMount(h.on) {
		return true
	}
	for _, m := range h.below {
		if key.onSameMount(m.key) {
			return true
		}
	}
	return false
}

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
