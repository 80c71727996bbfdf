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

// sqliteLockRun locks a file beside the database: the system frees it with the process. SQLite has one writer, so one
// run at a time has the whole database.
func sqliteLockRun(ctx context.Context, db *DB, _ int64) (Lock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := sqliteFile(db.Settings)
	if err != nil {
		return nil, err
	}
	lock := flock.New(file+".lock", flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
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
