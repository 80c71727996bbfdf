package durable

import (
	"cmp"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Shared and SharedDirectory are the modes of files and directories that several users may share. Who may use them
// depends on the umask, and on the set-group-id bit and the default ACL of the parent directory.
const (
	Shared          fs.FileMode = 0o666
	SharedDirectory fs.FileMode = 0o777
)

// mostNames bounds how many names are tried for a temporary file.
const mostNames = 10_000

// CreateTemp is like os.CreateTemp, whose files only their owner may read, but takes a mode. It replaces the star
// in the pattern by decimal digits.
func CreateTemp(directory, pattern string, perm fs.FileMode) (*os.File, error) {
	return createTemp(pattern, func(name string) (*os.File, error) {
		return os.OpenFile(filepath.Join(directory, name), newFile, perm)
	})
}

// CreateTempIn is like CreateTemp but makes the file in an open directory, whatever its path leads to now.
func CreateTempIn(directory *os.Root, pattern string, perm fs.FileMode) (*os.File, error) {
	return createTemp(pattern, func(name string) (*os.File, error) { return directory.OpenFile(name, newFile, perm) })
}

const newFile = os.O_RDWR | os.O_CREATE | os.O_EXCL

func createTemp(pattern string, open func(name string) (*os.File, error)) (*os.File, error) {
	prefix, suffix, _ := strings.Cut(pattern, "*")
	for attempt := 1; ; attempt++ {
		number := strconv.FormatUint(rand.Uint64(), 10) //nolint:gosec // it only has to differ
		file, err := open(prefix + number + suffix)
		if !errors.Is(err, fs.ErrExist) || attempt == mostNames {
			return file, err
		}
	}
}

// unnamedPattern is the pattern for the files of CreateUnnamed that need a name at first.
const unnamedPattern = ".guppy-*.tmp"

// CreateUnnamed makes a file without a name. Nothing is left of the file when it is closed, whatever happens to the
// process. If the file system can't make such a file, the file has a name for a moment; see SweepUnnamed. An empty
// directory stands for os.TempDir.
func CreateUnnamed(directory string) (*os.File, error) {
	directory = cmp.Or(directory, os.TempDir())
	file, err := openUnnamed(directory)
	if !errors.Is(err, errors.ErrUnsupported) {
		return file, err
	}

	if file, err = CreateTemp(directory, unnamedPattern, 0o600); err != nil {
		return nil, err
	}

	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// unnamedAge is the age from which a file is swept: a live process would have removed its name long before.
const unnamedAge = time.Hour

// unnamedPrefixes are the prefixes of the names of such files, including those of earlier versions.
var unnamedPrefixes = []string{".guppy-", "guppy-dag-", "guppy-directory-"}

// SweepUnnamed removes the files from a directory whose processes died before they could remove the name. This does
// not disturb live processes: they remove the name themselves as soon as they have made the file.
func SweepUnnamed(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}

	for _, entry := range entries {
		if !isUnnamed(entry.Name()) || !entry.Type().IsRegular() {
			continue
		}

		// A file that was just made is left to its process.
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && time.Since(info.ModTime()) < unnamedAge {
			continue
		}

		if err == nil {
			err = os.Remove(filepath.Join(directory, entry.Name()))
		}

		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// isUnnamed reports whether a name is a prefix followed by digits and perhaps ".tmp". The names of a store's
// temporary files also contain an owner, so they do not match.
func isUnnamed(name string) bool {
	for _, prefix := range unnamedPrefixes {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(name, ".tmp"), prefix)
		if ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return false
}
