// Package selection tells which entries of a tree a reader is asked for, by patterns as in a .gitignore file.
package selection

import (
	"fmt"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Selection selects entries. A nil Selection selects all of them.
type Selection struct {
	// include is nil if everything is included.
	include, exclude *source.Excludes
}

// New compiles patterns, which are relative to the beginning of the tree. An entry is selected if it, or a directory
// above it, matches include, and neither it nor a directory above it matches exclude. Without include all entries
// match. In include a "!" at the beginning is part of a name. New returns source.ErrBadPattern.
func New(include, exclude []string) (*Selection, error) {
	if len(include) == 0 && len(exclude) == 0 {
		return nil, nil
	}

	s := &Selection{}
	var err error
	if len(include) > 0 {
		positive := make([]string, len(include))
		for i, pattern := range include {
			positive[i] = source.Positive(pattern)
		}
		if s.include, err = source.ParseExcludes(positive); err != nil {
			return nil, fmt.Errorf("--include: %w", err)
		}
	}
	if s.exclude, err = source.ParseExcludes(exclude); err != nil {
		return nil, fmt.Errorf("--exclude: %w", err)
	}
	return s, nil
}

// Includes reports whether only entries that match a pattern are selected.
func (s *Selection) Includes() bool { return s != nil && s.include != nil }

// Unmatched returns the patterns that none of the judged entries has matched.
func (s *Selection) Unmatched() (include, exclude []string) {
	if s == nil {
		return nil, nil
	}
	return s.include.UnmatchedPatterns(), s.exclude.UnmatchedPatterns()
}

// Verdict says what becomes of an entry.
type Verdict int

// The verdicts. Passed is a directory that is not selected itself, but may lead to entries that are.
const (
	Selected Verdict = iota
	Passed
	Skipped
)

// Judge returns the verdict on an entry. What is below a skipped directory is skipped, too. The beginning of the tree
// is always selected.
func (s *Selection) Judge(path sqlrepo.Path, isDir bool) Verdict {
	switch {
	case s == nil, path == "":
		return Selected
	case s.exclude.Match(path, isDir):
		return Skipped
	case s.include == nil, s.include.Match(path, isDir):
		return Selected
	case isDir:
		return Passed
	}
	return Skipped
}
