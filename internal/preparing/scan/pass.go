package scan

import (
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// scanPass says which look at the source a scan takes.
type scanPass int

const (
	// firstPass is the first scan of an upload.
	firstPass scanPass = iota
	// secondPass is a scan of the whole source after a change was found.
	secondPass
	// lastPass records entries that came after the second scan as Failed. Entries that changed or vanished since were read
	// as they were.
	lastPass
)

// passOf returns the look that the state of an upload asks for.
func passOf(upload sqlrepo.Upload) scanPass {
	switch {
	case upload.State == sqlrepo.Rescanning:
		return lastPass
	case upload.ScannedAgain:
		return secondPass
	}
	return firstPass
}

// onSecondPass returns an entry as the second scan records it. New and changed files become Rescanned. If they differ
// once more when they are read, they become Failed.
func onSecondPass(compare source.Comparison, row *sqlrepo.Entry, found sqlrepo.Entry) sqlrepo.Entry {
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
