package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrAnotherSource is returned for a source that is not what it was at its last scan: a mount is missing, or
// another one is in its place.
var ErrAnotherSource = errors.New("the source is not what it was")

// sourceReader reads what the repository knows about a source.
type sourceReader interface {
	entryReader
	Uploads(ctx context.Context, filter sqlrepo.UploadFilter) ([]sqlrepo.Upload, error)
}

// Recognize compares a source, which fsys reads through held, with what the repository remembers of the source at
// that path. It returns ErrAnotherSource, with what was expected and what was found, if the source's mount or a
// mount below it is missing or has changed, or if the source is empty although the last scan found entries.
//
// If nothing identifies a mount, the files of the last scan do: one unchanged file among the first suffices.
//
// At a path where the source was never seen, the source may be on any mounts. But a directory that was a mount
// where the source was seen before must not be empty.
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

	// The mount is the same, and entries are where entries were.
	if likeness == source.Same && (!seen.Empty || was.Empty) {
		return nil
	}

	scanned, err := lastScanned(ctx, repo, registered.ID)
	switch {
	case err != nil || scanned.Found <= 1:
		return err
	case seen.Empty && !was.Empty:
		return fmt.Errorf("%w: %s is empty, but the last scan found %d entries there (upload %d)",
			ErrAnotherSource, seen.Path, scanned.Found-1, scanned.ID)
	case seen.Empty:
		return nil
	}

	// Nothing identifies the mount: its files have to.
	if err := VerifySource(ctx, repo, fsys, seen.Path, scanned); errors.Is(err, source.ErrAbsent) {
		return fmt.Errorf("%w: nothing identifies %s: %w", ErrAnotherSource, source.Describe(seen.Mount), err)
	} else if err != nil {
		return err
	}
	return nil
}

// VerifyMoved returns ErrAnotherSource unless what is at a path is the source as it was last scanned at another one:
// one unchanged file among the first suffices. A source that was never scanned may be anything.
func VerifyMoved(ctx context.Context, repo sourceReader, registered sqlrepo.Source, fsys source.FS,
	held *source.Held) error {
	scanned, err := lastScanned(ctx, repo, registered.ID)
	if err != nil || scanned.Found <= 1 {
		return err
	}

	err = VerifySource(ctx, repo, fsys, held.Path(), scanned)
	if errors.Is(err, source.ErrAbsent) {
		err = fmt.Errorf("%w: %w", ErrAnotherSource, err)
	}
	return err
}

// looking compares one source, which fsys reads through held, with what was known about it.
type looking struct {
	repo   sourceReader
	source int64
	fsys   source.FS
	held   *source.Held
}

// below compares the mounts below a source with those of the last scan.
func (l looking) below(ctx context.Context, was, seen sqlrepo.Sighting) error {
	held := l.held
	touched := false

	for _, m := range was.Below {
		if held.Ignores(m) {
			continue
		}

		now, ok := mountAt(seen, m.Point)

		// An automounter may not have mounted anything yet: opening the directories makes it do so.
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
			if errors.Is(err, source.ErrAbsent) {
				return fmt.Errorf("%w: nothing identifies %s at %s: %w", ErrAnotherSource, source.Describe(now), point, err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// hasEntriesOf returns source.ErrAbsent if the directory of the source holds none of the entries that the last scan
// found in it. It returns false if the last scan found none.
func (l looking) hasEntriesOf(ctx context.Context, directory string) (bool, error) {
	had, err := hadEntries(ctx, l.repo, l.source, directory)
	if err != nil || !had {
		return false, err
	}

	scanned, err := lastScanned(ctx, l.repo, l.source)
	if err != nil {
		return false, err
	}

	return true, verifyBelow(ctx, l.repo, l.fsys, l.held.Path(), scanned, pathOf(directory))
}

// over returns ErrAnotherSource if something is mounted now over a directory in which the last scan found entries.
func (l looking) over(ctx context.Context, was, seen sqlrepo.Sighting) error {
	for _, m := range seen.Below {
		if _, known := mountAt(was, m.Point); known || was.Mount.Kind == "" {
			continue
		}

		// The mount that the directory lay on at the last scan is the innermost one above it.
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
		if err != nil && !errors.Is(err, source.ErrAbsent) {
			return err
		}

		if found && (likeness == source.Other || err != nil) {
			return fmt.Errorf("%w: the last scan found entries in %s/%s, but %s is mounted over them now", ErrAnotherSource,
				seen.Path, m.Point, source.Describe(m))
		}
	}
	return nil
}

// elsewhere returns ErrAnotherSource for a directory that was a mount where the source was seen before, in which
// the last scan found entries, and which is empty or missing at this path.
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
				return fmt.Errorf("%w: nothing is in %s, but at %s it is %s, where the last scan found entries", ErrAnotherSource,
					point, other.Path, source.Describe(m))
			}
		}
	}
	return nil
}

// hadEntries reports whether the last scan found entries in a directory.
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

// pathOf returns the path of an entry for an operating system path relative to the source.
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
		return fmt.Sprintf("the symlink %s led to %s at the last scan, but does not now", path, source.Describe(was))
	}
	return fmt.Sprintf("%s was a mount of %s at the last scan, but nothing is mounted there now", path,
		source.Describe(was))
}

// difference describes the mount that was at a path and the mount that is there now.
func difference(path string, was, present sqlrepo.Mount) string {
	before, now := source.Describe(was), source.Describe(present)
	if before == now {
		before, now = fmt.Sprintf("%s (%s)", before, was.ID), fmt.Sprintf("another %s (%s)", now, present.ID)
	}

	if was.Followed {
		return fmt.Sprintf("the symlink %s led to %s at the last scan, but leads to %s now", path, before, now)
	}

	text := fmt.Sprintf("%s was %s at the last scan, but is %s now", path, before, now)
	if len(present.Point) < len(was.Point) && strings.HasPrefix(was.Point, present.Point) {
		text += fmt.Sprintf(": nothing is mounted at %s", was.Point)
	}
	return text
}

// lastScanned returns the latest upload of a source that has entries, or the zero Upload if there is none.
func lastScanned(ctx context.Context, repo sourceReader, id int64) (last sqlrepo.Upload, err error) {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &id})
	for _, upload := range uploads {
		if upload.State != sqlrepo.Removed && upload.Found > 0 {
			last = upload
		}
	}
	return last, err
}
