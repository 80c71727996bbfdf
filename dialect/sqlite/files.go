package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// Files implements dialect.FileLister.
func (Engine) Files(s dialect.Settings) ([]string, error) {
	file, err := fileOf(s)
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

// CopyAside implements dialect.PathCopier.
func (Engine) CopyAside(ctx context.Context, db *dialect.DB, suffix string, copied func(bytes int64),
) (target string, err error) {
	file, err := fileOf(db.Settings)
	if err != nil {
		return "", err
	}

	// A copy has its name only once it is whole.
	partial := file + suffix + ".partial"
	if err := removeIfThere(partial); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, removeIfThere(partial)) }()

	watched := watchSize(partial, copied)
	_, err = db.Writer.ExecContext(ctx, "VACUUM INTO ?", partial)
	watched()
	if err != nil {
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

// sizeEvery is how often the size of a file that SQLite writes is looked at.
const sizeEvery = 200 * time.Millisecond

// watchSize calls grown, if it is not nil, with the size of a file that SQLite writes, again and again until stop is
// called, and then once more.
func watchSize(file string, grown func(bytes int64)) (stop func()) {
	if grown == nil {
		return func() {}
	}
	look := func() {
		if info, err := os.Stat(file); err == nil { // it may not be there yet
			grown(info.Size())
		}
	}

	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(sizeEvery):
				look()
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
		look()
	}
}

// setAside matches what follows the name of the database in the name of a copy, whole or being made.
var setAside = regexp.MustCompile(`^\.v\d+\.bak(\.\d+|(\.partial(-journal|-wal|-shm)?))?$`)

// SetAside implements dialect.AsideLister.
func (Engine) SetAside(s dialect.Settings) (found dialect.SetAside, err error) {
	file, err := fileOf(s)
	if err != nil {
		return found, err
	}
	paths, err := filepath.Glob(globEscape.Replace(file) + ".v*.bak*")
	if err != nil {
		return found, err
	}

	for _, path := range paths {
		switch suffix := setAside.FindStringSubmatch(strings.TrimPrefix(path, file)); {
		case suffix == nil:
		case suffix[2] != "":
			found.Partial = append(found.Partial, path)
		default:
			found.Copies = append(found.Copies, path)
		}
	}
	return found, nil
}

// provideFile makes the database file, unless only an existing file may be opened.
func provideFile(file string, existing bool) error {
	if !existing {
		return makeFile(file)
	}
	_, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return &dialect.NoFileError{File: file}
	}
	return err
}

// temporaryBeside returns the pragma for making temporary files, such as those of a large sort, beside the database,
// where room is kept for it. The last database that was opened decides for the whole process.
func temporaryBeside(file string) (pragmas []string) {
	directory := filepath.Dir(file)
	if !writable(directory) { // SQLite refuses it, and has to look for another place anyway
		return nil
	}
	return []string{"temp_store_directory('" + strings.ReplaceAll(directory, "'", "''") + "')"}
}

// makeFile makes a database file that only its owner can read, since it holds all names of the sources. It also
// describes a file that can't be opened better than SQLite does.
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
