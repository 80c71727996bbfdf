package dialect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func sqliteFiles(s Settings) ([]string, error) {
	file, err := sqliteFile(s)
	if err != nil {
		return nil, err
	}
	files := []string{file}
	for _, suffix := range []string{"-wal", "-shm", "-journal", ".lock", ".migrate.lock"} {
		files = append(files, file+suffix)
	}
	copies, err := filepath.Glob(globEscape.Replace(file) + ".v*.bak*")
	return append(files, copies...), err
}

var globEscape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

func sqliteCopyAside(ctx context.Context, db *DB, suffix string) (target string, err error) {
	file, err := sqliteFile(db.Settings)
	if err != nil {
		return "", err
	}
	// A copy has its name only once it is whole.
	partial := file + suffix + ".partial"
	if err := removeIfThere(partial); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, removeIfThere(partial)) }()
	if _, err := db.Writer.ExecContext(ctx, "VACUUM INTO ?", partial); err != nil {
		return "", err
	}
	if err := syncFile(partial); err != nil {
		return "", err
	}
	target = file + suffix
	for n := 1; ; n++ {
		if err := os.Link(partial, target); !errors.Is(err, os.ErrExist) {
			return target, err
		}
		target = fmt.Sprintf("%s%s.%d", file, suffix, n)
	}
}

// NoFileError is returned for a database file that is not there and is not to be made.
type NoFileError struct{ File string }

func (e *NoFileError) Error() string { return "there is none at " + e.File }

// provideFile makes the database file, unless only one that is there is to be opened.
func (s Settings) provideFile(file string) error {
	if !s.Existing {
		return makeFile(file)
	}
	_, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return &NoFileError{file}
	}
	return err
}

// temporaryBeside is the pragma with which temporary files, such as those of a large sort, are made beside the
// database, which is where room is kept for it. The last database that was opened decides for all of the process.
func temporaryBeside(file string) (pragmas []string) {
	directory := filepath.Dir(file)
	if !writable(directory) { // SQLite refuses it, and has to look for another place anyway
		return nil
	}
	return []string{"temp_store_directory('" + strings.ReplaceAll(directory, "'", "''") + "')"}
}

// makeFile makes a database file that only its owner can read, since it holds all names of the sources. It also says
// more than SQLite does about a file that can't be opened.
func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
