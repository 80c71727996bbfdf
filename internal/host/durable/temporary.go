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

// Shared and SharedDirectory are the modes of what several users may be meant to use. The umask, the set-group-id bit
// and the default ACL of the directory above decide who may.
const (
	Shared          fs.FileMode = 0o666
	SharedDirectory fs.FileMode = 0o777
)

// mostNames bounds how many names are tried for a temporary file.
const mostNames = 10_000

// CreateTemp is like os.CreateTemp, which makes files that only their owner may read, but takes a mode. It puts decimal
// digits in place of the star of the pattern.
func CreateTemp(directory, pattern string, perm fs.FileMode) (*os.File, error) {
	prefix, suffix, _ := strings.Cut(pattern, "*")
	for attempt := 1; ; attempt++ {
		number := strconv.FormatUint(rand.Uint64(), 10) //nolint:gosec // it only has to differ
		path := filepath.Join(directory, prefix+number+suffix)
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) || attempt == mostNames {
			return file, err
		}
	}
}

// unnamedPattern is that of the files that CreateUnnamed makes where a file has to have a name at first.
const unnamedPattern = ".guppy-*.tmp"

// CreateUnnamed makes a file that has no name, so that nothing is left of it when it is closed, whatever becomes of the
// process. Where the file system can't, the file has a name for a moment: see SweepUnnamed. No directory stands for
// that of the system.
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

// unnamedAge is how old a file has to be that a process would have taken the name of at once.
const unnamedAge = time.Hour

// unnamedPrefixes begin the names that files without a name had in other versions.
var unnamedPrefixes = []string{".guppy-", "guppy-dag-", "guppy-directory-"}

// SweepUnnamed removes from a directory what processes have left that died before they could take the name of a file.
// No live process minds: it takes the name itself as soon as it has made the file.
func SweepUnnamed(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !isUnnamed(entry.Name()) || !entry.Type().IsRegular() {
			continue
		}
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

// isUnnamed reports whether a name is a prefix, digits, and perhaps ".tmp": temporary files of stores have an owner
// too.
func isUnnamed(name string) bool {
	for _, prefix := range unnamedPrefixes {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(name, ".tmp"), prefix)
		if ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return false
}
