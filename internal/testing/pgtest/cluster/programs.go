package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

// ErrNoPrograms means that PostgreSQL's server programs aren't installed in any of the usual places.
var ErrNoPrograms = errors.New("no PostgreSQL server programs (postgres, initdb, pg_ctl) in PATH, " +
	"under /usr/lib/postgresql or under Homebrew's directories")

// EnvPrograms names a directory with the programs of the server to run, as an absolute path. Without the variable, they
// are looked for in PATH and in the usual places.
const EnvPrograms = "GUPPY_TEST_POSTGRES_PROGRAMS"

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

// choosePrograms returns the programs that the environment names, or those that are found. What is named is never
// replaced by what is found: it is there to test on a certain version.
func choosePrograms() (programs, error) {
	named := os.Getenv(EnvPrograms)
	if named == "" {
		return findPrograms(os.Getenv("PATH"), installPatterns)
	}
	if !filepath.IsAbs(named) || !programs(named).complete() {
		return "", fmt.Errorf("%s=%s isn't the absolute path of a directory with the programs postgres, initdb and pg_ctl",
			EnvPrograms, named)
	}
	return programs(named), nil
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
