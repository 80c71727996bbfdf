package source

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrBadPattern is returned for an exclude pattern that has no meaning, or that can never match.
var ErrBadPattern = errors.New("bad exclude pattern")

// Excludes are patterns that leave entries out, with the meaning they have in a .gitignore file at the source's
// root: the last pattern that matches decides, "!" takes entries in again, a "/" at the end limits a pattern to
// directories, any other "/" anchors it at the root, and "**" spans directories. The zero value and nil exclude
// nothing.
type Excludes struct {
	rules []rule
}

type rule struct {
	glob     glob
	include  bool
	dirsOnly bool
	anchored bool
}

// ParseExcludes compiles patterns. It returns ErrBadPattern, with the pattern and what is wrong with it, for one
// that could not be compiled. A "#" starts no comment here: see ReadExcludeFile.
func ParseExcludes(patterns []string) (*Excludes, error) {
	excludes := &Excludes{rules: make([]rule, 0, len(patterns))}
	for _, pattern := range patterns {
		r, err := parseRule(pattern)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrBadPattern, pattern, err)
		}
		excludes.rules = append(excludes.rules, r)
	}
	return excludes, nil
}

func parseRule(pattern string) (rule, error) {
	var r rule
	pattern, r.include = strings.CutPrefix(pattern, "!")
	pattern, r.dirsOnly = strings.CutSuffix(pattern, "/")
	r.anchored = strings.Contains(pattern, "/")
	pattern = strings.TrimPrefix(pattern, "/")
	for component := range strings.SplitSeq(pattern, "/") {
		if component == "" || component == "." || component == ".." {
			return rule{}, fmt.Errorf("no entry has the component %q in its path", component)
		}
	}
	var err error
	r.glob, err = parseGlob(pattern)
	return r, err
}

// Match tells whether the entry at path, or a directory above it, is excluded. The source itself never is.
func (x *Excludes) Match(path sqlrepo.Path, isDir bool) bool {
	if x == nil || path == "" {
		return false
	}
	for i := range len(path) {
		if path[i] == separator {
			if _, excluded := x.verdicts(path[:i]); excluded {
				return true
			}
		}
	}
	asFile, asDir := x.verdicts(path)
	if isDir {
		return asDir
	}
	return asFile
}

// verdicts tells whether path is excluded when it is a file and when it is a directory, without regard to the
// directories above it.
func (x *Excludes) verdicts(path sqlrepo.Path) (asFile, asDir bool) {
	if x == nil {
		return false, false
	}
	decidedDir := false
	for i := len(x.rules) - 1; i >= 0; i-- {
		r := &x.rules[i]
		if decidedDir && r.dirsOnly || !r.matches(path) {
			continue
		}
		if !decidedDir {
			asDir, decidedDir = !r.include, true
		}
		if !r.dirsOnly {
			return !r.include, asDir
		}
	}
	return false, asDir
}

func (r *rule) matches(path sqlrepo.Path) bool {
	if r.anchored {
		return r.glob.match(string(path))
	}
	return r.glob.match(path.Name())
}

// ReadExcludeFile reads one pattern a line, leaving out blank lines, lines that start with "#", and spaces at the
// end of a line that no backslash precedes.
func ReadExcludeFile(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read exclude file: %w", err)
	}
	var patterns []string
	for line := range strings.Lines(strings.TrimPrefix(string(content), byteOrderMark)) {
		line = trimSpaces(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		if line != "" && line[0] != '#' {
			patterns = append(patterns, line)
		}
	}
	return patterns, nil
}

const byteOrderMark = "\uFEFF"

func trimSpaces(line string) string {
	kept := 0
	for i := 0; i < len(line); i++ {
		if line[i] == ' ' {
			continue
		}
		if line[i] == '\\' {
			i++
		}
		kept = i + 1
	}
	return line[:min(kept, len(line))]
}
