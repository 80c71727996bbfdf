package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/guppy-prep/guppy/dialect"
)

// fileLock is only lost when its process ends.
type fileLock struct {
	dialect.Watchers
	file *flock.Flock
}

// LockUse implements dialect.Locker.
func (Engine) LockUse(ctx context.Context, db *dialect.DB) (dialect.Lock, error) {
	return lockBeside(ctx, db, (*flock.Flock).TryRLock)
}

// LockAll implements dialect.Locker.
func (Engine) LockAll(ctx context.Context, db *dialect.DB) (dialect.Lock, error) {
	return lockBeside(ctx, db, (*flock.Flock).TryLock)
}

// lockBeside locks a file beside the database. The file has the names of the processes that have taken the lock. The
// system frees the lock when the process ends.
func lockBeside(ctx context.Context, db *dialect.DB, try func(*flock.Flock) (bool, error)) (dialect.Lock, error) {
	if err := ctx.Err(); err != nil || optionsOf(db.Settings).ReadOnly {
		return &noLock{}, err
	}

	file, err := fileOf(db.Settings)
	if err != nil {
		return nil, err
	}

	lock := flock.New(file+".lock", flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	locked, err := try(lock)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}

	host, _ := os.Hostname()
	own := fmt.Sprintf(lockHolder, os.Getpid(), host)
	others := slices.DeleteFunc(lockHolders(lock.Path()), func(holder string) bool { return holder == own })
	if !locked {
		if len(others) == 0 {
			others = []string{own}
		}
		return nil, errors.Join(fmt.Errorf("%w: %s", dialect.ErrLocked, strings.Join(others, ", ")), lock.Close())
	}

	if err := os.WriteFile(lock.Path(), []byte(strings.Join(append(others, own), "\n")+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database: %w", err), lock.Close())
	}
	return &fileLock{file: lock}, nil
}

// lockHolder is the name of a process. All processes that use the database are on one host.
const lockHolder = "process %d on %s"

// lockHolders returns the processes that have taken a lock and are still there. The system does not tell which of
// them hold it now.
func lockHolders(path string) (holders []string) {
	names, _ := os.ReadFile(path) // without the file there are no holders
	for name := range strings.Lines(string(names)) {
		var pid int
		var host string
		if _, err := fmt.Sscanf(name, lockHolder, &pid, &host); err == nil && isThere(pid) {
			holders = append(holders, strings.TrimSpace(name))
		}
	}
	return holders
}

func isThere(pid int) bool {
	process, err := os.FindProcess(pid)
	return err == nil && !errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// Release implements dialect.Lock.
func (l *fileLock) Release() error {
	l.End(context.Canceled)
	return l.file.Unlock()
}

// noLock stands for the lock on a file that no process writes to.
type noLock struct{ dialect.Watchers }

// Release implements dialect.Lock.
func (l *noLock) Release() error {
	l.End(context.Canceled)
	return nil
}
