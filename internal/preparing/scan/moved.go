package scan

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

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
