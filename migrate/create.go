package migrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrName is returned for a name that a migration can't have.
var ErrName = errors.New("a migration's name has lower-case letters, digits and underscores, and begins with a letter")

var validName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Create makes the files of a new migration, up and down, for every engine, in a source tree's directory of
// migrations. Their number follows the last one of any engine. Create returns their paths. It overwrites nothing,
// and removes what it made if it fails. A program has the migration once it is built again.
func Create(dir, name string) (files []string, err error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%q: %w", name, ErrName)
	}
	next, err := nextVersion(dir, name)
	if err != nil {
		return nil, err
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(files))
			files = nil
		}
	}()

	for _, engine := range dialect.Names() {
		for _, direction := range []string{"up", "down"} {
			path := filepath.Join(dir, engine, fmt.Sprintf("%04d_%s.%s.sql", next, name, direction))
			if err := makeEmpty(path); err != nil {
				return files, err
			}
			files = append(files, path)
		}
	}
	return files, nil
}

func nextVersion(dir, name string) (uint, error) {
	var last uint
	for _, engine := range dialect.Names() {
		all, err := readList(os.DirFS(dir), engine)
		if err != nil {
			return 0, fmt.Errorf("migrations in %s: %w", filepath.Join(dir, engine), err)
		}

		for _, m := range all {
			if m.Name == name {
				return 0, fmt.Errorf("migration %d is called %s too: %w", m.Version, name, os.ErrExist)
			}
		}

		last = max(last, all.required())
	}
	return last + 1, nil
}

func makeEmpty(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func removeAll(files []string) (err error) {
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
