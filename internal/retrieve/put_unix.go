//go:build unix

package retrieve

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// put writes a file under one name and then gives it another. It does what put does elsewhere with an os.Root, in
// less than half of the system calls: both names are entries of an open directory, and no link is followed.
func (d *directory) put(part, name string, content []byte, meta *metadata) error {
	here, err := d.open()
	if err != nil {
		return err
	}
	at := int(here.Fd())
	err = retried("create", part, func() error { return createAt(at, part, content, meta) })
	if err == nil {
		err = retried("rename", name, func() error { return unix.Renameat(at, part, at, name) })
	}
	if err != nil {
		gone := d.root.Remove(part)
		if errors.Is(gone, fs.ErrNotExist) {
			gone = nil
		}
		err = errors.Join(err, gone)
	}
	return err
}

// retried does again what a signal has interrupted.
func retried(op, name string, do func() error) error {
	for {
		switch err := do(); {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
}

// createAt makes a file of a directory, in place of one of the same name.
func createAt(at int, name string, content []byte, meta *metadata) (err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, flags, 0o666)
	if errors.Is(err, unix.EEXIST) {
		if err = unix.Unlinkat(at, name, 0); err == nil {
			fd, err = unix.Openat(at, name, flags, 0o666)
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil {
			return err
		}
		content = content[n:]
	}
	if meta == nil {
		return nil
	}
	return errors.Join(unix.Fchmod(fd, meta.bits), stampAt(at, name, meta))
}

// stampAt gives an entry of a directory its time, also one that is a symlink.
func stampAt(at int, name string, meta *metadata) error {
	stamp := unix.NsecToTimespec(meta.modTime.UnixNano())
	return unix.UtimesNanoAt(at, name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
}

// restoreSymlink gives a symlink its time; it has no mode of its own.
func (d *directory) restoreSymlink(name string, meta *metadata) error {
	if meta == nil {
		return nil
	}
	here, err := d.open()
	if err != nil {
		return err
	}
	return stampAt(int(here.Fd()), name, meta)
}

// open opens the directory itself, once.
func (d *directory) open() (*os.File, error) {
	d.opening.Do(func() { d.here, d.unopened = d.root.Open(".") })
	return d.here, d.unopened
}
