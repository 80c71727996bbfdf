//go:build !unix

package retrieve

import (
	"errors"
	"os"
)

// put writes a file under one name and then renames it.
func (d *directory) put(part, name string, content []byte, meta *metadata) error {
	// Here, unfinished removes any file.
	earlier, err := d.unfinished(part)
	if err == nil && earlier != nil {
		err = earlier.Close()
	}
	if err != nil {
		return err
	}

	out, err := d.create(part)
	if err != nil {
		return err
	}

	_, err = out.Write(content)
	err = errors.Join(err, out.Close())

	if err == nil {
		err = d.restoreEntry(part, meta)
	}
	if err == nil {
		err = d.root.Rename(part, name)
	}

	if err != nil {
		err = errors.Join(err, d.root.Remove(part))
	}
	return err
}

// lock does nothing.
func lock(*os.File) error { return nil }

// seal closes a file before it renames the file, because only Unix can rename an open file.
func seal(out *os.File, rename func() error) error {
	if err := out.Close(); err != nil {
		return err
	}
	return rename()
}

// restoreTime sets the time of a file or directory.
func (d *directory) restoreTime(name string, meta *metadata) error {
	return d.root.Chtimes(name, meta.modTime, meta.modTime)
}

// restoreSymlink does nothing. A symlink keeps the time at which it was made.
func (*directory) restoreSymlink(string, *metadata) error { return nil }
