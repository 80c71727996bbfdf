// Package scan updates an upload's entries from its source, by a merge of the walk with the stored rows.
package scan

import (
	"cmp"
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that scanning needs.
type Repository interface {
	Entries(ctx context.Context, upload int64, filter sqlrepo.EntryFilter) iter.Seq2[sqlrepo.Entry, error]
	PreviousUpload(ctx context.Context, u sqlrepo.Upload) (int64, error)
	SaveScan(ctx context.Context, stage sqlrepo.Stage, batch sqlrepo.ScanBatch) error
}

// Scanner scans one source.
type Scanner struct {
	Repo     Repository
	FS       source.FS
	Root     string
	Options  source.Options
	Progress *progress.Counters
	// Alive is called for each entry that was looked at.
	Alive func(n int64)

	// Whole is set by Run if it could look at everything in the source.
	Whole bool
}

// batchSize is the number of entries that one transaction records.
const batchSize = 25_000

// Run walks the source and records what it finds. An entry with an unchanged fingerprint keeps its row and
// everything done for it. A changed entry starts over, and an entry that is gone is forgotten. Entries below a
// directory that can't be read may be there or not: they become Unreachable, and are compared when the directory
// can be read again. A new file takes over the content of the source's previous upload if its fingerprint is the
// same there.
//
// Run fails with source.ErrGone, and forgets nothing, if the source is gone or is not the one that the run began
// with.
//
// Scans after the first treat differences as the constants again and last say.
func (s *Scanner) Run(ctx context.Context, stage sqlrepo.Stage) error {
	group, ctx := errgroup.WithContext(ctx)
	full := make(chan sqlrepo.ScanBatch, 1)
	group.Go(func() error {
		defer close(full)
		return s.merge(ctx, stage, full)
	})

	group.Go(func() error {
		for batch := range full {
			if err := s.Repo.SaveScan(ctx, stage, batch); err != nil {
				return err
			}
		}
		return nil
	})

	return group.Wait()
}

// merge compares the walk with the stored rows, and sends batches of differences to full.
func (s *Scanner) merge(ctx context.Context, stage sqlrepo.Stage, full chan<- sqlrepo.ScanBatch) error {
	stored := follow(s.Repo.Entries(ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
	defer stored.stop()

	var looking errgroup.Group
	looking.Go(stored.fill)
	previous, err := s.Repo.PreviousUpload(ctx, stage.Upload)
	if err := errors.Join(err, looking.Wait()); err != nil {
		return err
	}

	if stage.Upload.Reread {
		previous = 0
	}

	earlier := s.earlier(ctx, previous)
	defer earlier.stop()

	m := merger{
		look: passOf(stage.Upload), stored: stored, previous: earlier, compare: source.ComparisonOf(stage.Upload),
		batch: sqlrepo.ScanBatch{Previous: previous},
	}

	send := func(limit int) error {
		if m.batch.Len() < limit {
			return nil
		}

		if err := source.Present(s.FS, s.Root); err != nil {
			return err // what was not found may be where the source is now
		}

		select {
		case full <- m.batch:
			m.batch = sqlrepo.ScanBatch{Previous: previous}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}

	options := s.Options
	options.Doubt = m.look == secondPass

	err = source.Walk(ctx, s.FS, s.Root, options, func(found sqlrepo.Entry) error {
		if m.look == firstPass {
			s.Progress.Entries.Add(1)
		}
		s.Alive(1)
		if err := m.addFound(found); err != nil {
			return err
		}
		return send(batchSize)
	})
	if err != nil {
		return err
	}
	if err := m.finish(); err != nil {
		return err
	}

	s.Whole = !m.partly

	// The entries that were not found vanish only if the source is still there.
	if err := source.Present(s.FS, s.Root); err != nil {
		return err
	}
	return send(1)
}

// earlier returns the entries of a previous upload that have content.
func (s *Scanner) earlier(ctx context.Context, previous int64) *cursor {
	if previous == 0 {
		return noEntries()
	}
	linked := []sqlrepo.EntryState{sqlrepo.Ready, sqlrepo.Rescanned}
	return follow(s.Repo.Entries(ctx, previous, sqlrepo.EntryFilter{States: linked}))
}

// merger compares what the walk finds with the stored rows. Both come in canonical order.
type merger struct {
	look             scanPass
	stored, previous *cursor
	compare          source.Comparison
	// unreadable is the latest entry that was found Failed, or "". It may be a directory.
	unreadable sqlrepo.Path
	// partly is true if anything was unreadable.
	partly bool
	batch  sqlrepo.ScanBatch
}

// addFound compares an entry of the walk with its stored row.
func (m *merger) addFound(found sqlrepo.Entry) error {
	row, err := m.stored.seek(found.Path, m.miss)
	if err != nil {
		return err
	}
	if m.look == lastPass {
		m.list(row, found)
		return nil
	}

	if m.look == secondPass {
		found = onSecondPass(m.compare, row, found)
	}

	if found.State == sqlrepo.Failed || found.State == sqlrepo.Changed {
		m.unreadable, m.partly = found.Path, true
	}

	if row != nil && difference(m.compare, *row, found) == "" {
		m.keep(*row, found)
		return nil
	}

	earlier, err := m.previous.seek(found.Path, func(sqlrepo.Entry) {})
	if err != nil {
		return err
	}

	// The content was packed by an earlier upload.
	if earlier != nil && found.Kind == sqlrepo.File && difference(m.compare, *earlier, found) == "" {
		found.Origin = cmp.Or(earlier.Origin, earlier.ID)
	}

	if row == nil {
		m.batch.Added = append(m.batch.Added, found)
		return nil
	}

	found.ID = row.ID
	m.batch.Changed = append(m.batch.Changed, found)
	return nil
}

// keep leaves a row as it is, except for what is no reason to read its file again.
func (m *merger) keep(row, found sqlrepo.Entry) {
	if row.State == sqlrepo.Unreachable {
		m.batch.Restored = append(m.batch.Restored, row.ID)
	}

	if row.Mode == found.Mode && (row.Kind != sqlrepo.Directory || row.Ctime == found.Ctime) {
		return
	}

	row.Mode, row.Ctime = found.Mode, found.Ctime
	m.batch.Touched = append(m.batch.Touched, row)
}

// finish settles the stored rows after the last entry found.
func (m *merger) finish() error { return m.stored.drain(m.miss) }

// miss settles a stored row that the walk passed without finding its entry.
func (m *merger) miss(row sqlrepo.Entry) {
	switch {
	case m.look == lastPass:
	case !m.unreadable.Contains(row.Path) || m.unreadable == "":
		m.batch.Vanished = append(m.batch.Vanished, row.ID)
	case row.State != sqlrepo.Unreachable:
		m.batch.Unreachable = append(m.batch.Unreachable, row.ID)
	}
}

// settled returns Ready for the states of entries that were found Ready.
func settled(state sqlrepo.EntryState) sqlrepo.EntryState {
	if state == sqlrepo.Rescanned || state == sqlrepo.Unreachable {
		return sqlrepo.Ready
	}
	return state
}

// difference returns why a row does not describe the content of an entry that was found, or "" if it does. Entries
// that could not be prepared are tried again.
func difference(compare source.Comparison, row, found sqlrepo.Entry) string {
	switch {
	case settled(row.State) != settled(found.State) || row.Reason != found.Reason:
		return "it could not be prepared"
	case row.Unproven:
		return "it had changed too shortly before it was scanned"
	}
	return compare.Difference(row.Fingerprint, found.Fingerprint)
}

// cursor reads entries one by one.
type cursor struct {
	next func() (sqlrepo.Entry, error, bool)
	stop func()
	head *sqlrepo.Entry
}

func follow(entries iter.Seq2[sqlrepo.Entry, error]) *cursor {
	next, stop := iter.Pull2(entries)
	return &cursor{next: next, stop: stop}
}

func noEntries() *cursor {
	return follow(func(func(sqlrepo.Entry, error) bool) {})
}

// seek passes the entries before path to before. It returns the entry at path, or nil.
func (c *cursor) seek(path sqlrepo.Path, before func(sqlrepo.Entry)) (*sqlrepo.Entry, error) {
	for {
		if err := c.fill(); err != nil || c.head == nil || c.head.Path > path {
			return nil, err
		}

		head := c.head
		c.head = nil
		if head.Path == path {
			return head, nil
		}
		before(*head)
	}
}

func (c *cursor) drain(each func(sqlrepo.Entry)) error {
	for {
		if err := c.fill(); err != nil || c.head == nil {
			return err
		}
		each(*c.head)
		c.head = nil
	}
}

func (c *cursor) fill() error {
	if c.head != nil {
		return nil
	}
	entry, err, ok := c.next()
	if ok && err == nil {
		c.head = &entry
	}
	return err
}
