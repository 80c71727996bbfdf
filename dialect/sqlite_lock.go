package dialect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gofrs/flock"
)

type sqliteLock struct{ file *flock.Flock }

func sqliteLockUse(ctx context.Context, db *DB) (Lock, error) {
	return lockBeside(ctx, db, (*flock.Flock).TryRLock)
}

func sqliteLockAll(ctx context.Context, db *DB) (Lock, error) {
	return lockBeside(ctx, db, (*flock.Flock).TryLock)
}

// lockBeside locks a file beside the database, which holds the name of whoever had the lock last: the system frees it with
// the process.
func lockBeside(ctx context.Context, db *DB, try func(*flock.Flock) (bool, error)) (Lock, error) {
	if err := ctx.Err(); err != nil || db.Settings.ReadOnly {
		return noLock{}, err
	}
	file, err := sqliteFile(db.Settings)
	if err != nil {
		return nil, err
	}
	lock := flock.New(file+".lock", flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	locked, err := try(lock)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if !locked {
		holder, _ := os.ReadFile(lock.Path())
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, strings.TrimSpace(string(holder))), lock.Close())
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s\n", os.Getpid(), host)
	if err := os.WriteFile(lock.Path(), []byte(holder), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database: %w", err), lock.Close())
	}
	return &sqliteLock{lock}, nil
}

func (l *sqliteLock) Release() error { return l.file.Unlock() }
