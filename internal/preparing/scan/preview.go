package scan

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Change is what a run would do with an entry.
type Change string

// The changes. An Unread entry was scanned by an unfinished upload, and its content is still to be packed.
const (
	Same    Change = "unchanged"
	New     Change = "new"
	Changed Change = "changed"
	Unread  Change = "unread"
	Gone    Change = "gone"
	LeftOut Change = "left out"
)

// Finding is an entry and what a run would do with it.
type Finding struct {
	Entry  sqlrepo.Entry
	Change Change
	// Why is empty for the changes Same, New and Gone.
	Why string
}

// Before is what is known of a source before it is scanned. Each sequence is in canonical order, or nil if
// there is none.
type Before struct {
	// Stored are the entries of an unfinished upload. Unread are the ones whose content is still to be packed.
	Stored, Unread iter.Seq2[sqlrepo.Entry, error]
	// Previous are the entries of the upload whose content would be taken over.
	Previous iter.Seq2[sqlrepo.Entry, error]
	Compare  source.Comparison
	// Reread is true if all content is to be read again.
	Reread bool
}

// Preview walks a source and yields what a run would do with its files, with the entries that are gone and with
// those that are left out. It records nothing.
func Preview(ctx context.Context, fsys source.FS, root string, options source.Options, before Before,
	yield func(Finding) error) error {
	p := preview{
		Before: before, yield: yield, stored: followAny(before.Stored), unread: followAny(before.Unread),
		previous: followAny(before.Previous),
	}
	defer p.stored.stop()
	defer p.unread.stop()
	defer p.previous.stop()

	if err := source.Walk(ctx, fsys, root, options, p.addFound); err != nil {
		return err
	}
	if err := fsys.Present(root); err != nil { // what was not found may still be there
		return fmt.Errorf("%w: %w", source.ErrGone, err)
	}

	// The remaining rows lie after the last entry found.
	if err := p.stored.drain(p.missStored); err != nil {
		return err
	}
	if err := p.previous.drain(p.missPrevious); err != nil {
		return err
	}
	return p.failure
}

func followAny(entries iter.Seq2[sqlrepo.Entry, error]) *cursor {
	if entries == nil {
		return noEntries()
	}
	return follow(entries)
}

type preview struct {
	Before
	yield                    func(Finding) error
	stored, unread, previous *cursor
	// unreadable is the latest entry that can't be prepared. What lies below it is not gone.
	unreadable sqlrepo.Path
	failure    error
}

func (p *preview) addFound(found sqlrepo.Entry) error {
	row, err := p.stored.seek(found.Path, p.missStored)
	if err != nil {
		return err
	}

	unread, err := p.unread.seek(found.Path, func(sqlrepo.Entry) {})
	if err != nil {
		return err
	}

	earlier, err := p.previous.seek(found.Path, p.missPrevious)
	if err := errors.Join(err, p.failure); err != nil {
		// The cursors call yield for entries that are gone, and p.failure keeps its error.
		return err
	}

	switch {
	case found.State != sqlrepo.Ready:
		if found.State != sqlrepo.Unsupported {
			p.unreadable = found.Path
		}
		return p.yield(Finding{found, LeftOut, found.Reason})
	case found.Kind != sqlrepo.File:
		return nil // the content of other entries is their name or target
	}

	change, why := p.verdict(row, unread, earlier, found)
	return p.yield(Finding{found, change, why})
}

// verdict compares a file with the rows of its path, which may be nil.
func (p *preview) verdict(row, unread, earlier *sqlrepo.Entry, found sqlrepo.Entry) (Change, string) {
	if p.Reread && (row != nil || earlier != nil) {
		return Changed, "all content is to be read again"
	}

	change, why := New, ""

	// The rows of the unfinished upload come first: they are newer.
	for _, known := range []*sqlrepo.Entry{row, earlier} {
		if known == nil {
			continue
		}

		differs := difference(p.Compare, *known, found)
		switch {
		case differs == "" && known == row && unread != nil:
			return Unread, "its content is not packed yet"
		case differs == "":
			return Same, ""
		case change == New:
			change, why = Changed, differs
		}
	}
	return change, why
}

func (p *preview) missStored(row sqlrepo.Entry) { p.gone(row) }

// missPrevious does nothing if there is an unfinished upload: then its rows say what is gone.
func (p *preview) missPrevious(row sqlrepo.Entry) {
	if p.Stored == nil {
		p.gone(row)
	}
}

func (p *preview) gone(row sqlrepo.Entry) {
	hidden := p.unreadable != "" && p.unreadable.Contains(row.Path)
	if p.failure == nil && !hidden {
		p.failure = p.yield(Finding{row, Gone, ""})
	}
}
