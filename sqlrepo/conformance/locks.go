package conformance

import (
	"fmt"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func locks() []test {
	return []test{
		{"are shared by all who use the schema", lockShared},
		{"wait for a change of the schema", lockExcluded},
	}
}

func lockShared(f *fixture) {
	var locks []dialect.Lock
	for range 3 {
		locks = append(locks, must(f.LockUse(f.ctx))(f.t))
	}
	f.space()
	f.excluded(f.db.LockAll(f.ctx))
	for _, lock := range locks {
		f.ok(lock.Release())
	}
	f.ok(must(f.db.LockAll(f.ctx))(f.t).Release())
}

func lockExcluded(f *fixture) {
	all := must(f.db.LockAll(f.ctx))(f.t)
	f.excluded(f.LockUse(f.ctx))
	f.ok(all.Release())
	f.ok(must(f.LockUse(f.ctx))(f.t).Release())
}

// excluded checks that a lock was refused in the name of this process. Behind a pooler nobody can hold the shared
// lock, so it is not in the way.
func (f *fixture) excluded(lock dialect.Lock, err error) {
	f.t.Helper()
	if dialect.IsPooled(f.db.Settings) {
		f.ok(err)
		f.ok(lock.Release())
		return
	}
	f.fails(err, sqlrepo.ErrLocked)
	if holder := fmt.Sprintf("process %d on", os.Getpid()); err == nil || !strings.Contains(err.Error(), holder) {
		f.t.Errorf("%v doesn't name %s", err, holder)
	}
}
