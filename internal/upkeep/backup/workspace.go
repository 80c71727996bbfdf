package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrUnderWay is returned while another process writes the same backup.
var ErrUnderWay = errors.New("another process writes this backup")

// workspace is a directory of which one process at a time has the use.
type workspace struct {
	dir  string
	lock *flock.Flock
}

// mostTries bounds how often a workspace is made again that somebody has swept away before it was locked.
const mostTries = 20

// takeWorkspace makes a directory, or takes over one that a process has left which is gone, and clears that.
func takeWorkspace(dir string) (w *workspace, err error) {
	for range mostTries {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		if w, err = lockWorkspace(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return w, err
}

// lockWorkspace takes over a directory, and clears it. It returns fs.ErrNotExist for one that somebody has removed, and
// ErrUnderWay for one that another process uses.
func lockWorkspace(dir string) (*workspace, error) {
	w := &workspace{dir, flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	locked, err := w.lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s", ErrUnderWay, dir)
	}
	if err == nil {
		err = w.isThere()
	}
	if err == nil {
		err = w.clear()
	}
	if err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

// isThere returns fs.ErrNotExist if the file that is locked has lost its name: it locks nothing then.
func (w *workspace) isThere() error {
	locked, err := w.lock.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(w.lock.Path())
	if err == nil && !os.SameFile(locked, there) {
		err = &fs.PathError{Op: "lock", Path: w.lock.Path(), Err: fs.ErrNotExist}
	}
	return err
}

// file is where the backup is made.
func (w *workspace) file() string { return filepath.Join(w.dir, workFile) }

const (
	workFile = "backup.db"
	lockFile = "lock"
)

// clear removes the backup, and what the engine keeps beside it.
func (w *workspace) clear() error {
	left, err := os.ReadDir(w.dir)
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), workFile) {
			err = errors.Join(err, os.Remove(filepath.Join(w.dir, entry.Name())))
		}
	}
	return err
}

// remove leaves a directory in which there is something else. What can't be removed keeps the file that is locked, so
// that Sweep finds it.
func (w *workspace) remove() error {
	err := w.clear()
	if err == nil {
		err = os.Remove(w.lock.Path())
	}
	err = errors.Join(err, w.lock.Close())
	_ = os.Remove(w.dir)
	return err
}

const (
	partialSuffix = ".partial"
	restorePrefix = "restore-"
)

// Sweep removes the workspaces in a directory whose processes are gone: those of backups that were written there, and
// of restores that had it for their temporary files.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() && (strings.HasSuffix(name, partialSuffix) || strings.HasPrefix(name, restorePrefix)) {
			err = errors.Join(err, sweepOne(filepath.Join(dir, name)))
		}
	}
	return err
}

// abandonedAfter is how old the files of a workspace have to be that has no lock: an older guppy took none.
const abandonedAfter = 24 * time.Hour

// sweepOne removes a directory that holds nothing but what a workspace does, unless somebody uses it.
func sweepOne(dir string) error {
	held, ours, err := contents(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !ours:
		return nil
	case err != nil:
		return err
	case held == 0: // who is just making it does so again
		return ignoreGone(os.Remove(dir))
	}
	w, err := lockWorkspace(dir)
	if errors.Is(err, ErrUnderWay) {
		return nil
	}
	if err != nil {
		return ignoreGone(err)
	}
	return ignoreGone(w.remove())
}

// contents counts what a directory holds, and reports whether all of it is a workspace's whose process may be gone.
func contents(dir string) (held int, ours bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, false, err
	}
	locked, newest := false, time.Time{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return 0, false, err
		}
		isLock := entry.Name() == lockFile && info.Size() == 0
		if !isLock && !strings.HasPrefix(entry.Name(), workFile) {
			return 0, false, nil
		}
		locked = locked || isLock
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return len(entries), locked || time.Since(newest) > abandonedAfter, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
