package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// heldMount is a mount below a source that must stay as it is.
type heldMount struct {
	seen sqlrepo.Mount
	key  mountKey
	// automatic is true if an automounter makes and removes the mount.
	automatic bool
}

// surveyed is the result of a survey of a source.
type surveyed struct {
	sqlrepo.Sighting
	// on is the mount of the source. below holds the mounts of Below, in the same order.
	on    visible
	below []visible
}

// Ignores reports whether a mount below the source does not matter: the mount is excluded, or only a symlink that
// is not followed leads there.
func (h *Held) Ignores(m sqlrepo.Mount) bool {
	if m.Followed && h.options.Symlinks != FollowSymlinks {
		return true
	}
	return h.options.Excludes.Match(sqlrepo.Path(strings.ReplaceAll(m.Point, string(os.PathSeparator), "\x00")), true)
}

// Sighting describes the source as it is now, including the mounts that symlinks were found to lead to, but
// without ignored mounts.
func (h *Held) Sighting() sqlrepo.Sighting {
	seen := survey(h.path).Sighting
	seen.Below = append(slices.DeleteFunc(seen.Below, h.Ignores), h.followedMounts()...)
	slices.SortFunc(seen.Below, func(a, b sqlrepo.Mount) int { return strings.Compare(a.Point, b.Point) })
	if h.file != "" {
		return seen
	}

	if dir, err := h.openDirectory(h.path); err == nil {
		_, err = dir.Readdirnames(1)
		seen.Empty = errors.Is(err, io.EOF)
		_ = dir.Close() // nothing was written
	}
	return seen
}

// followedMounts returns the watched mounts that symlinks lead to.
func (h *Held) followedMounts() (followed []sqlrepo.Mount) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.below {
		if m.seen.Followed {
			followed = append(followed, m.seen)
		}
	}
	return followed
}

// Touch opens the directory at point below the source, so that an automounter mounts what belongs there, and
// records its mount.
func (h *Held) Touch(point string) {
	path := joinOS(h.path, point)
	if dir, err := openAt(h.fd, point, path, openDirectory); err == nil {
		h.notice(dir, path)
		_ = dir.Close() // nothing was written
		return
	}
	h.Followed(path)
}

// Followed records the mount to which the symlink at path leads.
func (h *Held) Followed(path string) {
	point, ok := h.within(path)
	if !ok {
		return
	}
	if key, err := keyAt(h.fd, point); err == nil {
		h.noticeMount(key, path)
	}
}

// Present returns an error unless the path still leads to the held directory and the mounts below it are
// unchanged. The error says what was there and what is there now.
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

	// A mount below may have been replaced, or removed by its automounter.
	for point, was := range h.below {
		key, err := keyAt(h.fd, point)
		if err == nil && (key == was.key || was.seen.Followed && key.onSameMount(was.key)) {
			continue
		}

		if was.key, err = h.mountedAgain(was); err != nil {
			return err
		}
		h.below[point] = was
	}
	return nil
}

// inPlace returns an error unless the source's root is still in its place.
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

	seen := survey(h.path)
	if was, now := Describe(h.seen.Mount), Describe(seen.Mount); was != now {
		return fmt.Errorf("%s was %s when the run began, but is %s now", h.path, was, now)
	}
	return fmt.Errorf("%s has been replaced since the run began, within %s", h.path, Describe(seen.Mount))
}

// mountedAgain examines a mount that has changed and returns its new key. An automounter may have removed the
// mount, and makes it again when it is opened. If anything else mounted it again, its directory may have been
// seen empty meanwhile, which is an error.
func (h *Held) mountedAgain(was heldMount) (now mountKey, err error) {
	point := joinOS(h.path, was.seen.Point)
	if was.automatic {
		if dir, err := openAt(h.fd, was.seen.Point, point, openDirectory); err == nil {
			_ = dir.Close() // nothing was written
		}
	}

	present, ok := h.mountOf(was.seen)
	switch {
	case !ok:
		return now, fmt.Errorf("%s was a mount of %s when the run began, but nothing is mounted there now", point,
			Describe(was.seen))
	case Compare(was.seen, present) == Other:
		return now, fmt.Errorf("%s was %s when the run began, but is %s now", point, Describe(was.seen), Describe(present))
	case !was.automatic:
		return now, fmt.Errorf("%s, a mount of %s, was unmounted and mounted again since the run began", point,
			Describe(present))
	}
	return keyAt(h.fd, was.seen.Point)
}

// mountOf returns the mount that is now in the place of was.
func (h *Held) mountOf(was sqlrepo.Mount) (sqlrepo.Mount, bool) {
	if was.Followed {
		present := survey(joinOS(h.path, was.Point)).Mount
		present.Point = was.Point
		return present, present.Kind != ""
	}

	for _, m := range survey(h.path).Below {
		if m.Point == was.Point {
			return m, true
		}
	}
	return sqlrepo.Mount{}, false
}

// notice determines the mount of a directory of the source. A mount to which a symlink leads is watched from then
// on. So is a mount made after the source was opened, if access caused it. Any other new mount covers what was
// there before.
func (h *Held) notice(dir *os.File, path string) {
	if key, err := keyAt(int(dir.Fd()), "."); err == nil {
		h.noticeMount(key, path)
	}
}

// noticeMount does what notice describes, for the mount with the given key.
func (h *Held) noticeMount(key mountKey, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !key.known() || h.covered != nil || h.hasMount(key) {
		return
	}

	if followed, ok := h.followed(path, key); ok {
		h.below[followed.seen.Point] = followed
		return
	}
	if h.watchNew(key) && !h.hasMount(key) {
		h.covered = fmt.Errorf("%s was on a file system that was mounted after the run began, and is not mounted now", path)
	}
}

// watchNew starts to watch the mounts made after the source was opened, and sets covered if one of them hides
// what was there. It reports whether key must be among the watched mounts.
func (h *Held) watchNew(key mountKey) bool {
	found := survey(h.path)
	for i, m := range found.Below {
		at, err := keyAt(h.fd, m.Point)
		was, watched := h.below[m.Point]

		switch {
		case watched && err == nil && at.onSameMount(key):
			if !was.automatic {
				h.covered = fmt.Errorf("something was mounted at %s, where %s was when the run began",
					joinOS(h.path, m.Point), Describe(was.seen))
			}
			// Present judges a mount that an automounter has made again.
			return false
		case watched, h.Ignores(m):
			continue
		}
		if !found.below[i].automatic && !mountsBelowItself(h.seen.Mount, m) {
			h.covered = fmt.Errorf("%s has been mounted at %s since the run began, and covers what was there",
				Describe(m), joinOS(h.path, m.Point))
			return false
		}

		if err == nil {
			h.below[m.Point] = heldMount{m, at, true}
		}
	}

	return true
}

// followed returns the mount with the given key, which contains the directory at path, if a symlink in the source
// leads there.
func (h *Held) followed(path string, key mountKey) (found heldMount, ok bool) {
	point, _ := h.within(path)
	root, err := filepath.EvalSymlinks(h.path)
	if err != nil || h.options.Symlinks != FollowSymlinks {
		return found, false
	}

	// A path that resolves to itself leads through no symlink.
	target, err := filepath.EvalSymlinks(path)
	if err != nil || target == filepath.Join(root, point) {
		return found, false
	}

	present := survey(path)
	at, err := keyAt(h.fd, point)
	if err != nil || !at.onSameMount(key) || present.Mount.Kind == "" {
		return found, false
	}

	present.Mount.Point, present.Mount.Followed = point, true
	return heldMount{present.Mount, at, present.on.automatic}, true
}

// hasMount reports whether key lies on one of the watched mounts.
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
