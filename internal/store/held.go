package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// hold opens the directory and makes sure that it is the store that its marker named before. Where a file system was
// unmounted, or another one mounted, the same path leads to another directory. What is done through the handle
// stays in the directory that was checked.
func (d *Directory) hold() (*os.Root, error) {
	held, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: is it still mounted? %w", ErrAbsent, err)
	}
	if err != nil {
		return nil, err
	}
	if err := d.checkMarker(held); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// checkMarker returns ErrAbsent if the directory has another marker than the store.
func (d *Directory) checkMarker(directory *os.Root) error {
	known := d.identity.Load()
	if known == nil {
		return nil
	}

	content, err := directory.ReadFile(markerName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	switch string(content) {
	case *known + "\n":
		return nil
	case "":
		return fmt.Errorf("%w: %s has no marker file %s any more: is it still mounted?", ErrAbsent, d.path, markerName)
	}
	return fmt.Errorf("%w: %s is another store now: what is mounted there?", ErrAbsent, d.path)
}

// present returns ErrAbsent unless the path still leads to the directory that is held, or to the same store in another
// mount of it.
func (d *Directory) present(held *os.Root) error {
	there, err := held.Stat(".")
	if err != nil {
		return err
	}

	here, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: is it still mounted? %w", ErrAbsent, err)
	case err != nil:
		return err
	case os.SameFile(here, there):
		return nil
	}

	again, err := d.hold()
	if err != nil {
		return err
	}
	return again.Close()
}
