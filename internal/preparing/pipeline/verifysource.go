package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// entryReader reads the entries by which a source is recognized.
type entryReader interface {
	Entries(ctx context.Context, upload int64, filter sqlrepo.EntryFilter) iter.Seq2[sqlrepo.Entry, error]
}

// comparedFiles is the number of files that are compared to recognize a source. Some of them may have changed, but not
// all.
const comparedFiles = 32

// VerifySource proves that what lies at root on this host is the source of an upload: the root itself or one of the
// first files is as it was scanned. If no file was scanned yet, root has to be a file or a directory that is not empty.
//
// Otherwise VerifySource returns source.ErrAbsent. A file system that is not mounted leaves an empty directory, and
// every missing file would be blamed.
func VerifySource(ctx context.Context, repo entryReader, fsys source.FS, root string, upload sqlrepo.Upload) error {
	return verifyBelow(ctx, repo, fsys, root, upload, "")
}

// verifyBelow is like VerifySource for a directory of the source.
func verifyBelow(ctx context.Context, repo entryReader, fsys source.FS, root string, upload sqlrepo.Upload,
	directory sqlrepo.Path) error {
	at := source.OSPath(root, directory)
	if _, err := fsys.Stat(at); err != nil {
		return fmt.Errorf("%w: %w", source.ErrAbsent, err)
	}

	// One file that is as it was scanned is proof enough.
	files := 0
	ready := sqlrepo.EntryFilter{
		States: []sqlrepo.EntryState{sqlrepo.Ready, sqlrepo.Rescanned}, Below: directory,
	}

	for entry, err := range repo.Entries(ctx, upload.ID, ready) {
		switch {
		case err != nil:
			return err
		case entry.Kind != sqlrepo.File && entry.Path != "":
			continue
		case isAsScanned(fsys, root, upload, entry):
			return nil
		case entry.Kind == sqlrepo.File:
			files++
		}
		if files == comparedFiles {
			break
		}
	}

	if files > 0 {
		return fmt.Errorf("%w: %s is not the source as it was scanned: none of its first %d files is there unchanged",
			source.ErrAbsent, at, files)
	}
	return refuseEmpty(fsys, at)
}

// isAsScanned reports whether an entry matches its fingerprint. It compares only what is the same wherever the
// source is mounted.
func isAsScanned(fsys source.FS, root string, upload sqlrepo.Upload, entry sqlrepo.Entry) bool {
	look := fsys.Lstat
	if entry.Path == "" || upload.SymlinkPolicy == source.FollowSymlinks.String() {
		look = fsys.Stat
	}

	info, err := look(source.OSPath(root, entry.Path))
	if err != nil {
		return false
	}

	now := source.Fingerprint(info, nil)
	if now.Size == 0 {
		now.Size = entry.Size // the size may have been found by reading
	}
	return source.ComparisonOf(upload).Recognition().Difference(entry.Fingerprint, now) == ""
}

// refuseEmpty returns source.ErrAbsent for an empty directory: an unknown source may not be mounted there.
func refuseEmpty(fsys source.FS, root string) error {
	info, err := fsys.Stat(root)
	if err == nil && !info.IsDir() {
		return nil
	}

	var entries []fs.DirEntry
	if err == nil {
		entries, err = fsys.ReadDir(root)
	}

	if err == nil && len(entries) == 0 {
		err = errors.New("the directory is empty, as if nothing were mounted there")
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", source.ErrAbsent, root, err)
	}
	return nil
}
