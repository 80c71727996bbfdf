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
	fd, err := d.createAt(at, part)
	if err != nil {
		return err
	}
	err = fill(fd, at, part, content, meta)
	if err == nil {
		err = flush(fd)
	}
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

// createAt makes an unfinished file, in place of one that an earlier run has left, and locks it.
func (d *directory) createAt(at int, name string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	create := func() (err error) {
		fd, err = unix.Openat(at, name, flags, 0o666)
		return err
	}
	err = retried("create", name, create)
	if errors.Is(err, unix.EEXIST) {
		left, failed := d.unfinished(name)
		if failed != nil {
			return 0, failed
		}
		if left != nil {
			failed = errors.Join(d.root.Remove(name), left.Close())
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

// fill gives a new file its content, its mode and its time.
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
	return errors.Join(unix.Fchmod(fd, meta.bits), stampAt(at, name, meta))
}

// isStillAt returns ErrBusy unless a name is that of an open file.
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

// lock locks an unfinished file for as long as it is open, or returns ErrBusy.
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

// flush returns what a file server objects to what was written to a file. Its client asks when a descriptor is closed:
// that of a copy, so that the file stays locked. Without one to spare, closing the file will tell.
func flush(fd int) error {
	spare, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // it is a descriptor
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return unix.Close(spare)
}

// seal gives a file its name before it is closed, while others find it locked.
func seal(out *os.File, rename func() error) error {
	err := flush(int(out.Fd()))
	if err == nil {
		err = rename()
	}
	return errors.Join(err, out.Close())
}

// stampAt gives an entry of a directory its time, also one that is a symlink. A time that is not known stays. The time
// may be out of the range that nanoseconds since 1970 have in 64 bits.
func stampAt(at int, name string, meta *metadata) error {
	if meta.modTime.IsZero() {
		return nil
	}
	stamp := unix.Timespec{Sec: meta.modTime.Unix(), Nsec: int64(meta.modTime.Nanosecond())}
	return unix.UtimesNanoAt(at, name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
}

// restoreSymlink gives a symlink its time; it has no mode of its own.
func (d *directory) restoreSymlink(name string, meta *metadata) error {
	if meta == nil {
		return nil
	}
	return d.restoreTime(name, meta)
}

// restoreTime gives an entry of the directory, or the directory itself under the name ".", its time.
func (d *directory) restoreTime(name string, meta *metadata) error {
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
