package source

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// inspector finds out what single entries are.
type inspector struct {
	fsys FS
	root string
	opts Options
}

// finding is an entry with what is needed to go on from it.
type finding struct {
	sqlrepo.Entry
	// info describes what is there, after following a symlink; nil if it could not be found out.
	info fs.FileInfo
	// above holds the directories that a symlink below this entry must not lead to; kept for followed links only.
	above *lineage
}

// source inspects the root, which must be a readable file or directory.
func (in *inspector) source() (finding, error) {
	info, err := in.fsys.Stat(in.root)
	if err != nil {
		return finding{}, fmt.Errorf("source: %w", err)
	}
	found := classify("", info)
	if found.Kind == sqlrepo.Special {
		return finding{}, fmt.Errorf("source %s is a %s: %w", in.root, found.Reason, ErrNotASource)
	}
	if in.opts.Symlinks == FollowSymlinks && found.Kind == sqlrepo.Directory {
		found.above = in.lineageOf(in.root, info, nil)
	}
	return found, nil
}

// inspect tells what is at path. It returns false where nothing is, or nothing that the symlink policy lets
// through.
func (in *inspector) inspect(path sqlrepo.Path, osPath string, above *lineage) (finding, bool) {
	info, err := in.fsys.Lstat(osPath)
	switch {
	case err != nil:
		return failed(path, sqlrepo.Fingerprint{Kind: sqlrepo.File}, reason(err)), !gone(err)
	case info.Mode()&fs.ModeSymlink == 0:
		found := classify(path, info)
		if above != nil && info.IsDir() {
			found.above = &lineage{info: info, next: above}
		}
		return found, true
	case in.opts.Symlinks == SkipSymlinks:
		return finding{info: info}, false
	}
	return in.symlink(path, osPath, info, above)
}

func (in *inspector) symlink(path sqlrepo.Path, osPath string, info fs.FileInfo, above *lineage) (finding, bool) {
	target, err := in.fsys.Readlink(osPath)
	link := Fingerprint(info, []byte(target))
	switch {
	case err != nil:
		return failed(path, link, reason(err)), !gone(err)
	case in.opts.Symlinks == FollowSymlinks:
		return in.follow(path, osPath, link, above), true
	}
	return finding{Entry: sqlrepo.Entry{Path: path, Fingerprint: link}, info: info}, true
}

func (in *inspector) follow(path sqlrepo.Path, osPath string, link sqlrepo.Fingerprint, above *lineage) finding {
	info, err := in.fsys.Stat(osPath)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return failed(path, link, fmt.Sprintf("symlink cycle: %q leads back to itself", link.Target))
	case gone(err):
		return failed(path, link, fmt.Sprintf("dangling symlink to %q", link.Target))
	case err != nil:
		return failed(path, link, reason(err))
	case !info.IsDir():
		return classify(path, info)
	case above.holds(info):
		return failed(path, link, fmt.Sprintf("symlink cycle: %q is a directory above it", link.Target))
	}
	found := classify(path, info)
	found.above = in.lineageOf(osPath, info, above)
	return found
}

func classify(path sqlrepo.Path, info fs.FileInfo) finding {
	entry := sqlrepo.Entry{Path: path, Fingerprint: Fingerprint(info, nil)}
	if entry.Kind == sqlrepo.Special {
		entry.State, entry.Reason = sqlrepo.Unsupported, describe(info.Mode())
	}
	return finding{Entry: entry, info: info}
}

func failed(path sqlrepo.Path, known sqlrepo.Fingerprint, why string) finding {
	return finding{Entry: sqlrepo.Entry{Path: path, Fingerprint: known, State: sqlrepo.Failed, Reason: why}}
}

// gone tells whether err means that there is nothing at a path. A parent that is a directory no longer says so too.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// reason is what went wrong, without the operation and path that the entry tells already, as text that any
// database takes.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
}
