// Package diff compares the trees of two uploads.
package diff

import (
	"bytes"
	"iter"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// The kinds of change at a path.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is a path at which two trees differ. Either only one tree has an entry there, or the entries differ in
// kind, in the content of a file, or in the target of a symlink.
type Change struct {
	What string
	Path sqlrepo.Path
	// Before and After are nil if the tree has no entry at the path.
	Before, After *sqlrepo.Listed
}

// Trees calls found for each change from one tree to another, in canonical order. Both trees must be in canonical
// order. Modes and times are not part of a tree, so uploads with the same root do not differ.
func Trees(before, after iter.Seq2[sqlrepo.Listed, error], found func(Change) error) error {
	nextBefore, stopBefore := iter.Pull2(before)
	defer stopBefore()
	nextAfter, stopAfter := iter.Pull2(after)
	defer stopAfter()

	a, err := pull(nextBefore)
	if err != nil {
		return err
	}

	b, err := pull(nextAfter)

	for err == nil && (a != nil || b != nil) {
		change := compare(a, b)
		if change.What != "" {
			if err := found(change); err != nil {
				return err
			}
		}

		// The side that is behind moves on. Both do at a common path.
		if change.Before != nil {
			if a, err = pull(nextBefore); err != nil {
				return err
			}
		}
		if change.After != nil {
			b, err = pull(nextAfter)
		}
	}
	return err
}

func pull(next func() (sqlrepo.Listed, error, bool)) (*sqlrepo.Listed, error) {
	entry, err, ok := next()
	if err != nil || !ok {
		return nil, err
	}
	return &entry, nil
}

// compare returns the change at the lower of two paths. Its What is empty if nothing changed.
func compare(a, b *sqlrepo.Listed) Change {
	switch {
	case b == nil || a != nil && a.Path < b.Path:
		return Change{What: Removed, Path: a.Path, Before: a}
	case a == nil || b.Path < a.Path:
		return Change{What: Added, Path: b.Path, After: b}
	}
	change := Change{Path: a.Path, Before: a, After: b}
	if a.Kind != b.Kind || a.Size != b.Size || !a.Root.Equals(b.Root.Cid) || !bytes.Equal(a.Target, b.Target) {
		change.What = Changed
	}
	return change
}
