package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

// ErrNoPrograms means that PostgreSQL's server programs aren't installed in any of the usual places.
var ErrNoPrograms = errors.New("no PostgreSQL server programs (postgres, initdb, pg_ctl) in PATH, " +
	"under /usr/lib/postgresql or under Homebrew's directories")

// installPatterns are the directories that hold server programs outside PATH.
var installPatterns = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/usr/local/opt/postgresql*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
}

// programs is a directory with the programs of one PostgreSQL version.
type programs string

func (p programs) path(name string) string { return filepath.Join(string(p), name) }

func (p programs) complete() bool {
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		info, err := os.Stat(p.path(name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// findPrograms returns the first complete directory of the search path, or else the highest version that a pattern
// finds.
func findPrograms(searchPath string, patterns []string) (programs, error) {
	candidates := filepath.SplitList(searchPath)
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		sort.SliceStable(matches, func(i, j int) bool { return version(matches[i]) > version(matches[j]) })
		candidates = append(candidates, matches...)
	}

	for _, dir := range candidates {
		if filepath.IsAbs(dir) && programs(dir).complete() {
			return programs(dir), nil
		}
	}
	return "", ErrNoPrograms
}

var lastNumber = regexp.MustCompile(`(\d+(?:\.\d+)?)[^\d]*$`)

// version returns the version number in the path of an installation, 0 if it has none.
func version(dir string) float64 {
	match := lastNumber.FindStringSubmatch(filepath.Dir(dir))
	if match == nil {
		return 0
	}
	number, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return 0
	}
	return number
}
