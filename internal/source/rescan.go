package source

import (
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Rescan finds out again what the file or symlink at path is, under the same options as the walk that found it.
// The entry has its present fingerprint and is Ready, or it is Failed for a Reason: it vanished, is excluded,
// could not be inspected, or became something that a rescan of one entry can't take in. An error is returned when
// the source itself is not there, so that a lost mount is not taken for vanished files: ErrGone if it goes meanwhile. One
// that is Exhausted is returned when the process runs out of open files or memory, and when ctx ends one that wraps the
// cause.
func Rescan(ctx context.Context, fsys FS, root string, opts Options, path sqlrepo.Path) (sqlrepo.Entry, error) {
	if ctx.Err() != nil {
		return sqlrepo.Entry{}, rescanStopped(ctx, path)
	}
	in := inspector{fsys: fsys, root: root, opts: opts}
	found, err := in.source()
	if err != nil {
		return sqlrepo.Entry{}, err
	}
	at, ok := sqlrepo.Path(""), true
	for _, name := range path.Components() {
		if ctx.Err() != nil {
			return sqlrepo.Entry{}, rescanStopped(ctx, path)
		}
		if !ok || found.State != sqlrepo.Failed && found.Kind != sqlrepo.Directory {
			return in.vanished(path)
		}
		if found.State == sqlrepo.Failed {
			return failed(path, sqlrepo.Fingerprint{Kind: sqlrepo.File}, found.Reason).Entry, nil
		}
		at = at.Join(name)
		if found, ok, err = in.inspect(at, OSPath(root, at), found.above); err != nil {
			return sqlrepo.Entry{}, fmt.Errorf("rescan of %q: %w", path.String(), err)
		}
	}
	if !ok && found.info == nil {
		return in.vanished(path)
	}
	return rescanned(opts, path, found, ok), nil
}

func rescanStopped(ctx context.Context, path sqlrepo.Path) error {
	return fmt.Errorf("rescan of %q: %w", path.String(), context.Cause(ctx))
}

// vanished is an entry that is not there, while the source is.
func (in *inspector) vanished(path sqlrepo.Path) (sqlrepo.Entry, error) {
	return failed(path, sqlrepo.Fingerprint{Kind: sqlrepo.File}, "vanished").Entry, Present(in.fsys, in.root)
}

// rescanned settles what becomes of an entry that is there; ok says whether the symlink policy lets it through.
func rescanned(opts Options, path sqlrepo.Path, found finding, ok bool) sqlrepo.Entry {
	entry := found.Entry
	switch {
	case !ok:
		return failed(path, Fingerprint(found.info, nil), "is now a symlink").Entry
	case opts.Excludes.Match(path, entry.Kind == sqlrepo.Directory):
		return failed(path, entry.Fingerprint, "is excluded").Entry
	case entry.Kind == sqlrepo.Directory, entry.Kind == sqlrepo.Special:
		return failed(path, entry.Fingerprint, "is now a "+describe(found.info.Mode())).Entry
	}
	return entry
}
