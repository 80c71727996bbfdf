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

// fileLock is lost by nothing but the end of its process.
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

// lockBeside locks a file beside the database, which has the names of those that have taken the lock: the system frees
// it with the process.
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

// lockHolder is how a process is named. All that use the database are on one host.
const lockHolder = "process %d on %s"

// lockHolders are the processes that have taken a lock and are still there. Which of them hold it at this moment the
// system does not tell.
func lockHolders(path string) (holders []string) {
	names, _ := os.ReadFile(path) // a lock that nobody has taken has no holders
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

// noLock stands for the lock on a file that nobody writes to.
type noLock struct{ dialect.Watchers }

// Release implements dialect.Lock.
func (l *noLock) Release() error {
	l.End(context.Canceled)
	return nil
}
