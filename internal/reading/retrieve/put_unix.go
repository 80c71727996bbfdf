//go:build unix

package retrieve

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// put writes a file under one name and then renames it. It does the same as put on other systems does with an
// os.Root, in less than half of the system calls: both names are entries of an open directory, and no link is
// followed.
func (d *directory) put(part, name string, content []byte, meta *metadata) error {
	handle, err := d.open()
	if err != nil {
		return err
	}

	at := int(handle.Fd())
	fd, err := d.createAt(at, part)
	if err != nil {
		return err
	}

	err = fill(fd, at, part, content, meta)
	if err == nil {
		err = flush(fd)
	}

	// A file of another run that has the name by now must be neither renamed nor removed.
	if mine := isStillAt(at, part, fd); mine != nil {
		err = errors.Join(err, mine)
	} else {
		if err == nil {
			err = retried("rename", name, func() error { return unix.Renameat(at, part, at, name) })
		}

		if err != nil {
			err = errors.Join(err, unix.Unlinkat(at, part, 0))
		}
	}
	return errors.Join(err, unix.Close(fd))
}

// retried repeats a call that a signal has interrupted.
func retried(op, name string, call func() error) error {
	for {
		switch err := call(); {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
}

// createAt creates an unfinished file and locks it. It replaces a file that an earlier run has left.
func (d *directory) createAt(at int, name string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC

	create := func() (err error) {
		fd, err = unix.Openat(at, name, flags, 0o666)
		return err
	}

	err = retried("create", name, create)

	// The file is small, so there is no point in going on with the remains of an earlier run.
	if errors.Is(err, unix.EEXIST) {
		earlier, failed := d.unfinished(name)
		if failed != nil {
			return 0, failed
		}

		if earlier != nil {
			failed = errors.Join(d.root.Remove(name), earlier.Close())
		}

		if err = failed; err == nil {
			err = busy(retried("create", name, create))
		}
	}

	if err != nil {
		return 0, err
	}

	if err := lockDescriptor(fd); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// fill writes the content, the mode and the time of a new file.
func fill(fd, at int, name string, content []byte, meta *metadata) error {
	for len(content) > 0 {
		n := 0
		err := retried("write", name, func() (err error) {
			n, err = unix.Write(fd, content)
			return err
		})

		if err != nil {
			return err
		}

		content = content[n:]
	}

	if meta == nil {
		return nil
	}

	// The time comes last, because a write changes it.
	return errors.Join(unix.Fchmod(fd, meta.bits), stampAt(at, name, meta))
}

// isStillAt returns ErrBusy unless the name still is the name of the open file.
func isStillAt(at int, name string, fd int) error {
	var named, open unix.Stat_t
	err := unix.Fstat(fd, &open)
	if err == nil {
		err = unix.Fstatat(at, name, &named, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil && named.Dev == open.Dev && named.Ino == open.Ino {
		return nil
	}
	return errors.Join(ErrBusy, err)
}

// lock locks an unfinished file for as long as it is open. It returns ErrBusy if another run holds the lock.
func lock(file *os.File) error { return lockDescriptor(int(file.Fd())) }

func lockDescriptor(fd int) error {
	err := retried("lock", "", func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return ErrBusy
	case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS):
		return nil // a file system without locks
	}
	return err
}

// flush returns errors that a file server reports late. A client of such a server asks for them when a descriptor
// is closed. flush closes a copy of the descriptor, so that the file stays locked. If there is no descriptor to
// spare, closing the file will report the errors.
func flush(fd int) error {
	spare, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // it is a descriptor
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return unix.Close(spare)
}

// seal renames a file before it closes the file, so that others find it locked.
func seal(out *os.File, rename func() error) error {
	err := flush(int(out.Fd()))
	if err == nil {
		err = rename()
	}
	return errors.Join(err, out.Close())
}

// stampAt sets the time of an entry of a directory, even of a symlink. It leaves the entry alone if the time is
// not known. The time may be out of the range that nanoseconds since 1970 have in 64 bits.
func stampAt(at int, name string, meta *metadata) error {
	if meta.modTime.IsZero() {
		return nil
	}
	stamp := unix.Timespec{Sec: meta.modTime.Unix(), Nsec: int64(meta.modTime.Nanosecond())}
	return unix.UtimesNanoAt(at, name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
}

// restoreSymlink sets the time of a symlink. A symlink has no mode of its own.
func (d *directory) restoreSymlink(name string, meta *metadata) error {
	if meta == nil {
		return nil
	}
	return d.restoreTime(name, meta)
}

// restoreTime sets the time of an entry of the directory, or of the directory itself if name is ".".
func (d *directory) restoreTime(name string, meta *metadata) error {
	handle, err := d.open()
	if err != nil {
		return err
	}
	return stampAt(int(handle.Fd()), name, meta)
}

// open opens the directory itself, once.
func (d *directory) open() (*os.File, error) {
	d.opening.Do(func() { d.handle, d.unopened = d.root.Open(".") })
	return d.handle, d.unopened
}
