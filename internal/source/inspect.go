package source

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// inspector inspects single entries of a source.
type inspector struct {
	fsys FS
	root string
	opts Options
	// traits caches the traits of file systems by device.
	traits sync.Map
}

// finding is an inspected entry, with the facts that the walk needs to go on from there.
type finding struct {
	sqlrepo.Entry
	// info describes the file after following a symlink. It is nil if the file could not be inspected.
	info fs.FileInfo
	// above is the set of directories that a symlink below this entry must not lead to. It is kept for followed
	// links only.
	above *lineage
}

// source inspects the root. It returns an error unless the root is a readable file or directory.
func (in *inspector) source() (finding, error) {
	began := time.Now()
	info, err := in.fsys.Stat(in.root)
	if err != nil {
		return finding{}, fmt.Errorf("source: %w", err)
	}

	found := in.classify("", in.root, in.fsys.Stat, info, began)
	if found.Kind == sqlrepo.Special {
		return finding{}, fmt.Errorf("source %s is a %s: %w", in.root, found.Reason, ErrNotASource)
	}

	if in.opts.Symlinks == FollowSymlinks && found.Kind == sqlrepo.Directory {
		found.above = in.lineageOf(in.root, info, nil)
	}
	return found, nil
}

var (
	// errNotFound is returned if nothing is at a path.
	errNotFound = errors.New("it is not there")
	// errAway is the reason of an entry that was listed and then not found, but may exist all the same.
	errAway = errors.New("its directory was not in its place for a moment")
)

// away returns an entry that must be inspected again because of errAway.
func away(path sqlrepo.Path) sqlrepo.Entry {
	unknown := sqlrepo.Fingerprint{Kind: sqlrepo.File}
	return sqlrepo.Entry{Path: path, Fingerprint: unknown, State: sqlrepo.Changed, Reason: errAway.Error()}
}

// inspect inspects the entry at path. It returns false for a symlink that the policy skips, errNotFound if
// nothing is there, and an error from Fatal if the source cannot be read.
func (in *inspector) inspect(path sqlrepo.Path, osPath string, above *lineage) (finding, bool, error) {
	began := time.Now()
	info, err := in.fsys.Lstat(osPath)
	switch {
	case err != nil:
		return in.unreadable(path, sqlrepo.Fingerprint{Kind: sqlrepo.File}, err)
	case info.Mode()&fs.ModeSymlink == 0:
		found := in.classify(path, osPath, in.fsys.Lstat, info, began)
		if above != nil && info.IsDir() {
			found.above = &lineage{info: info, next: above}
		}
		return found, true, nil
	case in.opts.Symlinks == SkipSymlinks:
		return finding{info: info}, false, nil
	}
	return in.symlink(path, osPath, info, above)
}

// unreadable decides what an entry that could not be inspected becomes: a reason to stop, an entry that is not
// found, or a Failed entry.
func (in *inspector) unreadable(path sqlrepo.Path, known sqlrepo.Fingerprint, err error) (finding, bool, error) {
	if err := Fatal(in.fsys, in.root, err); err != nil {
		return finding{}, false, err
	}
	if gone(err) {
		return finding{}, false, errNotFound
	}
	return failed(path, known, Reason(err)), true, nil
}

// symlink inspects a symlink that the policy keeps or follows.
func (in *inspector) symlink(path sqlrepo.Path, osPath string, info fs.FileInfo,
	above *lineage) (finding, bool, error) {
	target, err := in.fsys.Readlink(osPath)
	link := Fingerprint(info, []byte(target))

	switch {
	case err != nil:
		return in.unreadable(path, link, err)
	case in.opts.Symlinks == FollowSymlinks:
		found, err := in.follow(path, osPath, link, above)
		return found, err == nil, err
	}
	return finding{Entry: sqlrepo.Entry{Path: path, Fingerprint: link}, info: info}, true, nil
}

// follow inspects the file to which a symlink leads. A link that is dangling or leads to a directory above it is
// Failed.
func (in *inspector) follow(path sqlrepo.Path, osPath string, link sqlrepo.Fingerprint,
	above *lineage) (finding, error) {
	began := time.Now()
	info, err := in.fsys.Stat(osPath)

	switch {
	case err != nil:
		return failed(path, link, notFollowed(link, err)), Fatal(in.fsys, in.root, err)
	case !info.IsDir():
		// ReadDir notices the mounts of directories. Nothing else notices the mount of a file.
		if watcher, ok := in.fsys.(follower); ok && info.Mode().IsRegular() {
			watcher.Followed(osPath)
		}
		return in.classify(path, osPath, in.fsys.Stat, info, began), nil
	case above.holds(info):
		return failed(path, link, fmt.Sprintf("symlink cycle: %q is a directory above it", link.Target)), nil
	}

	found := in.classify(path, osPath, in.fsys.Stat, info, began)
	found.above = in.lineageOf(osPath, info, above)
	return found, nil
}

// follower is implemented by an FS that watches the mounts to which symlinks lead.
type follower interface{ Followed(path string) }

// notFollowed returns the reason why a symlink could not be followed.
func notFollowed(link sqlrepo.Fingerprint, err error) string {
	switch {
	case errors.Is(err, syscall.ELOOP):
		return fmt.Sprintf("symlink cycle: %q leads back to itself", link.Target)
	case gone(err):
		return fmt.Sprintf("dangling symlink to %q", link.Target)
	}
	return Reason(err)
}

// classify turns a description into an entry. look has returned info for osPath at the time at.
func (in *inspector) classify(path sqlrepo.Path, osPath string, look func(string) (fs.FileInfo, error),
	info fs.FileInfo,
	at time.Time) finding {
	entry := sqlrepo.Entry{Path: path, Fingerprint: Fingerprint(info, nil)}

	switch entry.Kind {
	case sqlrepo.Special:
		entry.State, entry.Reason = sqlrepo.Unsupported, describe(info.Mode())
	case sqlrepo.Directory:
		entry = in.directory(entry, osPath, look, info, at)
	case sqlrepo.File:
		entry = in.file(entry, osPath, look, info, at)
	}

	return finding{Entry: entry, info: info}
}

// failed returns a Failed entry with the part of its fingerprint that is known.
func failed(path sqlrepo.Path, known sqlrepo.Fingerprint, why string) finding {
	return finding{Entry: sqlrepo.Entry{Path: path, Fingerprint: known, State: sqlrepo.Failed, Reason: why}}
}
