package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrAnotherSource is returned for a source that is not what it was when it was last scanned: a mount is missing, or
// another one is in its place.
var ErrAnotherSource = errors.New("the source is not what it was")

// sourceReader is what it takes to compare a source with what is known of it.
type sourceReader interface {
	entryReader
	Uploads(ctx context.Context, filter sqlrepo.UploadFilter) ([]sqlrepo.Upload, error)
}

// Recognize compares a source, which fsys reads through held, with what the repository remembers of it at that path. It
// returns ErrAnotherSource, with what was expected and what is there, when its mount or one below it is missing or is
// another one, and when it is empty where the last scan had entries. Where mounts have nothing that identifies them,
// the files of the last scan do: it is enough that one of the first is there unchanged. At a path where the source was
// never seen it may be on any mounts, but what were mounts elsewhere must not be empty.
func Recognize(ctx context.Context, repo sourceReader, registered sqlrepo.Source, fsys source.FS,
	held *source.Held) error {
	seen := held.Sighting()
	was, known := registered.Sightings.At(seen.Path)
	likeness, look := source.Same, looking{repo, registered.ID, fsys, held}
	if known {
		if likeness = source.Compare(was.Mount, seen.Mount); likeness == source.Other {
			return fmt.Errorf("%w: %s", ErrAnotherSource, difference(seen.Path, was.Mount, seen.Mount))
		}
		if err := look.below(ctx, was, seen); err != nil {
			return err
		}
		if err := look.over(ctx, was, seen); err != nil {
			return err
		}
	} else if err := look.elsewhere(ctx, registered.Sightings); err != nil {
		return err
	}
	if likeness == source.Same && (!seen.Empty || was.Empty) {
		return nil
	}
	scanned, err := lastScanned(ctx, repo, registered.ID)
	switch {
	case err != nil || scanned.Found <= 1:
		return err
	case seen.Empty && !was.Empty:
		return fmt.Errorf("%w: %s is empty, and the last scan found %d entries there (upload %d)",
			ErrAnotherSource, seen.Path, scanned.Found-1, scanned.ID)
	case seen.Empty:
		return nil
	}
	if err := Sees(ctx, repo, fsys, seen.Path, scanned); errors.Is(err, store.ErrOutOfSight) {
		return fmt.Errorf("%w: nothing identifies %s: %w", ErrAnotherSource, source.Describe(seen.Mount), err)
	} else if err != nil {
		return err
	}
	return nil
}

// looking is a look at a source, which fsys reads through held.
type looking struct {
	repo   sourceReader
	source int64
	fsys   source.FS
	held   *source.Held
}

// below compares the mounts below a source.
func (l looking) below(ctx context.Context, was, seen sqlrepo.Sighting) error {
	held := l.held
	touched := false
	for _, m := range was.Below {
		if held.Ignores(m) {
			continue
		}
		now, ok := mountAt(seen, m.Point)
		if !ok && !touched {
			for _, other := range was.Below {
				held.Touch(other.Point)
			}
			seen, touched = held.Sighting(), true
			now, ok = mountAt(seen, m.Point)
		}
		point := seen.Path + "/" + m.Point
		if !ok {
			return fmt.Errorf("%w: %s", ErrAnotherSource, missing(point, m))
		}
		switch source.Compare(m, now) {
		case source.Other:
			return fmt.Errorf("%w: %s", ErrAnotherSource, difference(point, m, now))
		case source.Unknown:
			_, err := l.hasEntriesOf(ctx, m.Point)
			if errors.Is(err, store.ErrOutOfSight) {
				return fmt.Errorf("%w: nothing identifies %s at %s: %w", ErrAnotherSource, source.Describe(now), point, err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// hasEntriesOf returns store.ErrOutOfSight if a directory of the source has nothing of what the last scan found in it,
// and false if that was nothing.
func (l looking) hasEntriesOf(ctx context.Context, directory string) (bool, error) {
	had, err := hadEntries(ctx, l.repo, l.source, directory)
	if err != nil || !had {
		return false, err
	}
	scanned, err := lastScanned(ctx, l.repo, l.source)
	if err != nil {
		return false, err
	}
	return true, seesBelow(ctx, l.repo, l.fsys, l.held.Path(), scanned, pathOf(directory))
}

// over returns ErrAnotherSource when something else is mounted now where the last scan had entries.
func (l looking) over(ctx context.Context, was, seen sqlrepo.Sighting) error {
	for _, m := range seen.Below {
		if _, known := mountAt(was, m.Point); known || was.Mount.Kind == "" {
			continue
		}
		before := source.Within(was.Mount, m.Point)
		for _, above := range was.Below {
			if rest, ok := strings.CutPrefix(m.Point, above.Point+"/"); ok {
				before = source.Within(above, rest)
			}
		}
		likeness := source.Compare(before, m)
		if likeness == source.Same {
			continue
		}
		found, err := l.hasEntriesOf(ctx, m.Point)
		if err != nil && !errors.Is(err, store.ErrOutOfSight) {
			return err
		}
		if found && (likeness == source.Other || err != nil) {
			return fmt.Errorf("%w: the last scan found entries in %s/%s, and %s is mounted over them now", ErrAnotherSource,
				seen.Path, m.Point, source.Describe(m))
		}
	}
	return nil
}

// elsewhere returns ErrAnotherSource when a directory that is a mount where the source was seen before is empty or
// missing at this path, and the last scan found entries in it.
func (l looking) elsewhere(ctx context.Context, before sqlrepo.Sightings) error {
	for _, other := range before {
		for _, m := range other.Below {
			if l.held.Ignores(m) {
				continue
			}
			point := l.held.Path() + "/" + m.Point
			entries, err := l.fsys.ReadDir(point)
			if len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			found, err := hadEntries(ctx, l.repo, l.source, m.Point)
			if err != nil {
				return err
			}
			if found {
				return fmt.Errorf("%w: nothing is in %s; at %s it is %s, in which the last scan found entries", ErrAnotherSource,
					point, other.Path, source.Describe(m))
			}
		}
	}
	return nil
}

// hadEntries reports whether the last scan found something in a directory.
func hadEntries(ctx context.Context, repo sourceReader, id int64, directory string) (bool, error) {
	scanned, err := lastScanned(ctx, repo, id)
	if err != nil || scanned.ID == 0 {
		return false, err
	}
	below := sqlrepo.EntryFilter{Below: pathOf(directory)}
	for _, err := range repo.Entries(ctx, scanned.ID, below) {
		return err == nil, err
	}
	return false, nil
}

// pathOf is the path of an entry by that of the operating system, relative to the source.
func pathOf(relative string) sqlrepo.Path {
	return sqlrepo.Path(strings.ReplaceAll(relative, "/", "\x00"))
}

func mountAt(seen sqlrepo.Sighting, point string) (found sqlrepo.Mount, ok bool) {
	for _, m := range seen.Below {
		if m.Point == point {
			return m, true
		}
	}
	return found, false
}

// missing describes a mount that is no longer at its path.
func missing(path string, was sqlrepo.Mount) string {
	if was.Followed {
		return fmt.Sprintf("the symlink %s led to %s at the last scan, and does not now", path, source.Describe(was))
	}
	return fmt.Sprintf("%s was a mount of %s at the last scan, and nothing is mounted there now", path,
		source.Describe(was))
}

// difference says what was at a path, and what is.
func difference(path string, was, is sqlrepo.Mount) string {
	before, now := source.Describe(was), source.Describe(is)
	if before == now {
		before, now = fmt.Sprintf("%s (%s)", before, was.ID), fmt.Sprintf("another %s (%s)", now, is.ID)
	}
	if was.Followed {
		return fmt.Sprintf("the symlink %s led to %s at the last scan, and leads to %s now", path, before, now)
	}
	text := fmt.Sprintf("%s was %s at the last scan, and is %s now", path, before, now)
	if len(is.Point) < len(was.Point) && strings.HasPrefix(was.Point, is.Point) {
		text += fmt.Sprintf(": nothing is mounted at %s", was.Point)
	}
	return text
}

// lastScanned returns the latest upload of a source that has entries, or one without.
func lastScanned(ctx context.Context, repo sourceReader, id int64) (last sqlrepo.Upload, err error) {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &id})
	for _, upload := range uploads {
		if upload.State != sqlrepo.Removed && upload.Found > 0 {
			last = upload
		}
	}
	return last, err
}
