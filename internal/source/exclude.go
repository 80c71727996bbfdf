package source

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/formats/textfile"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrBadPattern is returned for a pattern that is malformed or can never match.
var ErrBadPattern = errors.New("bad pattern")

// Excludes is a list of patterns for entries to leave out. The patterns mean what they mean in a .gitignore file
// at the source's root: the last pattern that matches decides, "!" includes entries again, a "/" at the end
// limits a pattern to directories, any other "/" anchors it at the root, and "**" spans directories. The zero
// value and nil exclude nothing.
//
// Excludes remember which patterns have matched something. They are safe for concurrent use.
type Excludes struct {
	rules   []rule
	matched []atomic.Bool
}

// rule is a compiled pattern.
type rule struct {
	text     string
	glob     glob
	include  bool
	dirsOnly bool
	anchored bool
}

// ParseExcludes compiles patterns. For a pattern that cannot be compiled it returns an error that wraps
// ErrBadPattern and says what is wrong. A "#" does not start a comment here: see ReadExcludeFile.
func ParseExcludes(patterns []string) (*Excludes, error) {
	excludes := &Excludes{rules: make([]rule, 0, len(patterns)), matched: make([]atomic.Bool, len(patterns))}
	for _, pattern := range patterns {
		r, err := parseRule(pattern)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrBadPattern, pattern, err)
		}
		excludes.rules = append(excludes.rules, r)
	}
	return excludes, nil
}

// Positive returns a pattern with the same meaning, except that a "!" at its beginning is part of the name, where a
// pattern that includes again what others exclude would mean nothing.
func Positive(pattern string) string {
	if strings.HasPrefix(pattern, "!") {
		return `\` + pattern
	}
	return pattern
}

func parseRule(pattern string) (rule, error) {
	r := rule{text: pattern}
	pattern, r.include = strings.CutPrefix(pattern, "!")
	pattern, r.dirsOnly = strings.CutSuffix(pattern, "/")
	r.anchored = strings.Contains(pattern, "/")
	pattern = strings.TrimPrefix(pattern, "/")

	for component := range strings.SplitSeq(pattern, "/") {
		if component == "" || component == "." || component == ".." {
			return rule{}, fmt.Errorf("no path has the component %q", component)
		}
	}

	var err error
	r.glob, err = parseGlob(pattern)
	return r, err
}

// Match reports whether the entry at path, or a directory above it, is excluded. The source itself never is.
func (x *Excludes) Match(path sqlrepo.Path, isDir bool) bool {
	if x == nil || path == "" {
		return false
	}

	// An excluded directory excludes all that is below it.
	for i := range len(path) {
		if path[i] == separator {
			if _, excluded := x.verdicts(path[:i], true); excluded {
				return true
			}
		}
	}

	asFile, asDir := x.verdicts(path, isDir)
	if isDir {
		return asDir
	}
	return asFile
}

// Matches reports whether the entry itself matches, whatever the directories above it do.
func (x *Excludes) Matches(path sqlrepo.Path, isDir bool) bool {
	asFile, asDir := x.verdicts(path, isDir)
	if isDir {
		return asDir
	}
	return asFile
}

// verdicts reports whether path is excluded if it is a file and if it is a directory. It ignores the directories
// above path. Only if isDir is true do patterns for directories count as having matched something.
func (x *Excludes) verdicts(path sqlrepo.Path, isDir bool) (asFile, asDir bool) {
	if x == nil {
		return false, false
	}

	// The last pattern that matches decides. One for directories only leaves the verdict on files to an earlier
	// pattern.
	decidedFile, decidedDir := false, false
	for i := len(x.rules) - 1; i >= 0; i-- {
		r := &x.rules[i]

		// A pattern that decides nothing is still tried until it has matched something once.
		decided := decidedDir && (decidedFile || r.dirsOnly)
		if decided && x.matched[i].Load() || !r.matches(path) {
			continue
		}
		if (isDir || !r.dirsOnly) && !x.matched[i].Load() {
			x.matched[i].Store(true)
		}

		if !decidedDir {
			asDir, decidedDir = !r.include, true
		}
		if !decidedFile && !r.dirsOnly {
			asFile, decidedFile = !r.include, true
		}
	}
	return asFile, asDir
}

func (r *rule) matches(path sqlrepo.Path) bool {
	if r.anchored {
		return r.glob.match(string(path))
	}
	return r.glob.match(path.Name())
}

// ReadExcludeFile reads a text file with one pattern per line. It skips blank lines and lines that start with "#", and
// strips spaces at the end of a line unless a backslash precedes them.
func ReadExcludeFile(path string) ([]string, error) {
	patterns, _, err := excludesIn(path)
	return patterns, err
}

// ExcludeLines returns the lines of a file that ReadExcludeFile reads, by the patterns in them.
func ExcludeLines(path string) (map[string]int, error) {
	patterns, numbers, err := excludesIn(path)
	lines := make(map[string]int, len(patterns))
	for i, pattern := range patterns {
		lines[pattern] = numbers[i]
	}
	return lines, err
}

func excludesIn(path string) (patterns []string, numbers []int, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read exclude file: %w", err)
	}

	content, err = textfile.Decode(content)
	if err != nil {
		return nil, nil, fmt.Errorf("exclude file %s: %w", path, err)
	}

	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = trimSpaces(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		if line != "" && line[0] != '#' {
			patterns, numbers = append(patterns, line), append(numbers, number)
		}
	}

	return patterns, numbers, nil
}

// trimSpaces strips the spaces at the end of line, except an escaped one.
func trimSpaces(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		if line[i] == ' ' {
			continue
		}

		// A backslash protects the byte that follows, which may be a space.
		if line[i] == '\\' {
			i++
		}

		end = i + 1
	}
	return line[:min(end, len(line))]
}
