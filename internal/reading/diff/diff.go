// Package diff tells in what the trees of two uploads differ.
package diff

import (
	"bytes"
	"iter"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// What happened to a path.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is a path at which two trees differ: an entry is in one of them alone, or its kind, the content of a file,
// or the target of a symlink is another one.
type Change struct {
	What string
	Path sqlrepo.Path
	// Before and After are nil where there is no entry.
	Before, After *sqlrepo.Listed
}

// Trees calls found for each change from one tree to another, in canonical order. Both come in canonical order. Modes
// and times are no part of a tree: uploads with the same root do not differ.
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

// compare tells what happened at the lower of two paths. It has no name if nothing did.
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
