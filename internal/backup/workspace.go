package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// ErrUnderWay is returned while another process writes the same backup.
var ErrUnderWay = errors.New("another process writes this backup")

// workspace is a directory of which one process at a time has the use.
type workspace struct {
	dir  string
	lock *flock.Flock
}

// takeWorkspace makes a directory, or takes over one that a process has left which is gone, and clears that.
func takeWorkspace(dir string) (_ *workspace, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s", ErrUnderWay, dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	w := &workspace{dir, lock}
	if err := w.clear(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return w, nil
}

// file is where the backup is made.
func (w *workspace) file() string { return filepath.Join(w.dir, workFile) }

const workFile = "backup.db"

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

// remove leaves a directory in which there is something else.
func (w *workspace) remove() error {
	err := errors.Join(w.clear(), os.Remove(w.lock.Path()), w.lock.Close())
	_ = os.Remove(w.dir)
	return err
}
