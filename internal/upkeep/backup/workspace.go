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
var ErrUnderWay = errors.New("another process is writing this backup")

// workspace is a directory that one process at a time uses.
type workspace struct {
	dir  string
	lock *flock.Flock
}

// mostTries bounds how often a workspace is made again after another process swept it away before it was locked.
const mostTries = 20

// takeWorkspace makes a directory, or takes over and clears one that a process has left which is gone.
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

// lockWorkspace takes over a directory and clears it. It returns fs.ErrNotExist if the directory was removed
// meanwhile, and ErrUnderWay if another process uses it.
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

// isThere returns fs.ErrNotExist if the locked file has lost its name: its lock then protects nothing.
func (w *workspace) isThere() error {
	locked, err := w.lock.Stat()
	if err != nil {
		return err
	}
	present, err := os.Stat(w.lock.Path())
	if err == nil && !os.SameFile(locked, present) {
		err = &fs.PathError{Op: "lock", Path: w.lock.Path(), Err: fs.ErrNotExist}
	}
	return err
}

// file returns the path of the file in which the backup is made.
func (w *workspace) file() string { return filepath.Join(w.dir, workFile) }

const (
	workFile = "backup.db"
	lockFile = "lock"
)

// clear removes the backup and the files that the engine keeps beside it.
func (w *workspace) clear() error {
	left, err := os.ReadDir(w.dir)
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), workFile) {
			err = errors.Join(err, os.Remove(filepath.Join(w.dir, entry.Name())))
		}
	}
	return err
}

// remove removes the workspace. A directory that has other files stays. If the backup can't be removed, the lock
// file stays too, so that Sweep finds the directory.
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

// workspacesIn returns the directories that have the name of a workspace.
func workspacesIn(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() && (strings.HasSuffix(name, partialSuffix) || strings.HasPrefix(name, restorePrefix)) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, err
}

// Sweep removes the workspaces in a directory whose processes are gone: those of backups written there, and those of
// restores that used the directory for temporary files.
func Sweep(dir string) error {
	paths, err := workspacesIn(dir)
	for _, path := range paths {
		err = errors.Join(err, sweepOne(path))
	}
	return err
}

// Leftover is a workspace whose process is gone.
type Leftover struct {
	Path  string
	Bytes int64
	// Changed is when its process last wrote to it.
	Changed time.Time
}

// Leftovers returns the workspaces that Sweep would remove. It changes nothing.
func Leftovers(dir string) (left []Leftover, err error) {
	paths, err := workspacesIn(dir)
	for _, path := range paths {
		held, failed := contents(path)
		if failed == nil && held.ours {
			var used bool
			if used, failed = inUse(path); failed == nil && !used {
				left = append(left, Leftover{path, held.bytes, held.newest})
			}
		}
		err = errors.Join(err, ignoreGone(failed))
	}
	return left, err
}

// inUse reports whether a process holds the lock of a workspace.
func inUse(dir string) (bool, error) {
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); err != nil {
		// No process uses a directory without a lock for as long as contents waits.
		return false, ignoreGone(err)
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryLock()
	return !free, errors.Join(err, lock.Close())
}

// abandonedAfter is the age from which a workspace without a lock file counts as abandoned: an older guppy took no
// lock.
const abandonedAfter = 24 * time.Hour

// sweepOne removes a directory that holds only files of a workspace, unless another process uses it.
func sweepOne(dir string) error {
	held, err := contents(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !held.ours:
		return nil
	case err != nil:
		return err
	case held.files == 0: // if a process is just making it, it tries again
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

// holding is what a directory holds.
type holding struct {
	files int
	bytes int64
	// newest is when a file was last changed, or the directory.
	newest time.Time
	// ours is true if all files belong to a workspace whose process may be gone.
	ours bool
}

// contents looks into a directory.
func contents(dir string) (held holding, err error) {
	top, err := os.Stat(dir)
	if err != nil {
		return held, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return held, err
	}

	locked, newest := false, time.Time{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return held, err
		}

		// Any other file means that the directory is not a workspace.
		isLock := entry.Name() == lockFile && info.Size() == 0
		if !isLock && !strings.HasPrefix(entry.Name(), workFile) {
			return held, nil
		}
		held.bytes += info.Size()
		locked = locked || isLock
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}

	held.files, held.newest = len(entries), newest
	if len(entries) == 0 {
		held.newest = top.ModTime()
	}
	held.ours = locked || time.Since(newest) > abandonedAfter
	return held, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
