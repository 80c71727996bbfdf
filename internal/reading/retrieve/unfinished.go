package retrieve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// unfinished opens and locks the file that an earlier run has left. It removes anything else of that name. It
// returns nil if there is no such file, and ErrBusy if another run is writing it.
func (d *directory) unfinished(part string) (*os.File, error) {
	info, err := d.look(part)
	if err != nil || info == nil {
		return nil, err
	}

	if !info.Mode().IsRegular() || isShared(info) {
		return nil, d.root.Remove(part)
	}

	// The earlier run had already set the mode of the whole file.
	if info.Mode()&0o600 != 0o600 {
		if err := d.root.Chmod(part, 0o600); err != nil {
			return nil, err
		}
	}

	file, err := d.root.OpenFile(part, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	return d.hold(file, part)
}

// create creates an unfinished file and locks it.
func (d *directory) create(part string) (*os.File, error) {
	out, err := d.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, busy(err)
	}
	return d.hold(out, part)
}

// hold locks an open file that still has its name. It closes any other.
func (d *directory) hold(file *os.File, name string) (*os.File, error) {
	err := lock(file)
	if err == nil {
		err = d.isStill(file, name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// isStill returns ErrBusy unless the name still is the name of the open file. Otherwise a rename would take
// another run's file.
func (d *directory) isStill(file *os.File, name string) error {
	open, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := d.look(name)
	if err == nil && (named == nil || !os.SameFile(open, named)) {
		err = ErrBusy
	}
	return err
}

// finish sets the mode and time of a whole file, renames it, and closes it.
func (f outputFile) finish(out *os.File) error {
	part := f.part()
	err := f.in.isStill(out, part)
	if err == nil {
		err = f.in.restoreEntry(part, f.meta)
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	return seal(out, func() error { return f.in.root.Rename(part, f.name) })
}
