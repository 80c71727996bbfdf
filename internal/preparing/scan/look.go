package scan

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// look says which look at the source a scan takes.
type look int

const (
	// first is the first scan of an upload.
	first look = iota
	// again is a scan of the whole source after a change was found.
	again
	// last records entries that came after the second scan as Failed. Entries that changed or vanished since were read
	// as they were.
	last
)

// lookOf returns the look that the state of an upload asks for.
func lookOf(upload sqlrepo.Upload) look {
	switch {
	case upload.State == sqlrepo.Rescanning:
		return last
	case upload.ScannedAgain:
		return again
	}
	return first
}

// secondTime returns an entry as the second scan records it. New and changed files become Rescanned. If they differ
// once more when they are read, they become Failed.
func secondTime(compare source.Comparison, row *sqlrepo.Entry, found sqlrepo.Entry) sqlrepo.Entry {
	switch {
	case row != nil && row.State == sqlrepo.Failed && row.Kind != sqlrepo.Directory &&
		compare.Difference(row.Fingerprint, found.Fingerprint) == "":
		found.State, found.Reason = row.State, row.Reason // the file could not be read a moment ago
	case row != nil && row.Kind != sqlrepo.Special && found.Kind == sqlrepo.Special:
		found.State, found.Reason = sqlrepo.Failed, "is now a "+found.Reason
	case found.State == sqlrepo.Ready && found.Kind == sqlrepo.File:
		found.State = sqlrepo.Rescanned
	}
	return found
}

// cameLate is the reason of the entries that the last look adds.
const cameLate = "came while the source was being prepared, after it had been scanned again"

// list adds an entry that has no row, unless an entry above it was added or has failed: that one stands for all
// below it.
func (m *merger) list(row *sqlrepo.Entry, found sqlrepo.Entry) {
	if m.unreadable != "" && m.unreadable.Contains(found.Path) {
		return
	}

	if row != nil {
		if row.State == sqlrepo.Failed {
			m.unreadable = row.Path
		}
		return
	}

	if found.State == sqlrepo.Ready {
		found.State, found.Reason = sqlrepo.Failed, cameLate
	}

	m.unreadable = found.Path
	m.batch.Added = append(m.batch.Added, found)
}

// errMoved ends the search of Moved.
var errMoved = errors.New("a directory has moved")

// Moved reports whether names came, went or moved below the source since it was scanned. It compares the times of
// each directory, which show every such change, and lists no directory, so it costs little. A directory that had
// changed too shortly before it was scanned counts as changed.
func (s *Scanner) Moved(ctx context.Context, upload sqlrepo.Upload) (bool, error) {
	look := s.FS.Lstat
	if s.Options.Symlinks == source.FollowSymlinks {
		look = s.FS.Stat
	}

	group, looking := errgroup.WithContext(ctx)
	group.SetLimit(source.DefaultReaders)

	compare := source.ComparisonOf(upload)
	directories := sqlrepo.EntryFilter{
		Kinds: []sqlrepo.EntryKind{sqlrepo.Directory}, States: []sqlrepo.EntryState{sqlrepo.Ready, sqlrepo.Rescanned},
	}

	var reading error
	for row, err := range s.Repo.Entries(looking, upload.ID, directories) {
		if err != nil || looking.Err() != nil {
			reading = err
			break
		}

		// The source itself may be a symlink, whatever the options say.
		look := look
		if row.Path == "" {
			look = s.FS.Stat
		}

		group.Go(func() error { return s.unmoved(row, compare, look) })
	}

	err := group.Wait()
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, errMoved):
		return true, nil
	}
	return false, errors.Join(err, reading)
}

// unmoved returns errMoved if a directory is not as it was scanned. It returns an error of source.Fatal if the
// source can't be read.
func (s *Scanner) unmoved(row sqlrepo.Entry, compare source.Comparison,
	look func(string) (fs.FileInfo, error)) error {
	s.Alive(1)

	info, err := look(source.OSPath(s.Root, row.Path))
	if err != nil {
		if fatal := source.Fatal(s.FS, s.Root, err); fatal != nil {
			return fatal
		}
		return errMoved
	}

	if !compare.SameDirectory(row.Fingerprint, source.Fingerprint(info, nil)) {
		return errMoved
	}
	return nil
}
