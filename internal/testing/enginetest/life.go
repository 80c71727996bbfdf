package enginetest

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrDead is what SQLite's connections return to a process whose life has ended. PostgreSQL's connections report
// that they are canceled.
var ErrDead = errors.New("the process is dead")

// Life is the life of a process as its database sees it. It ends right after a certain commit.
type Life struct {
	last    int64
	commits atomic.Int64
}

// Ended reports whether the last commit was made. After it nothing reaches the database except the end of
// transactions that were not committed.
func (l *Life) Ended() bool { return l != nil && l.commits.Load() >= l.last }

// Commits returns how many commits were made.
func (l *Life) Commits() int64 { return l.commits.Load() }

// check returns ErrDead if the life has ended.
func (l *Life) check() error {
	if l.Ended() {
		return ErrDead
	}
	return nil
}

func (l *Life) committed() {
	if l != nil {
		l.commits.Add(1)
	}
}

// writes reports whether a statement changes rows.
func writes(statement string) bool {
	for _, verb := range []string{"INSERT", "UPDATE", "DELETE"} {
		if strings.HasPrefix(statement, verb) {
			return true
		}
	}
	return false
}

// Mortal returns another handle on a database, for a process that lives for a number of commits, and a function
// that closes its connections.
func (e Engine) Mortal(tb testing.TB, db *dialect.DB, commits int64) (mortal *dialect.DB, life *Life, bury func()) {
	tb.Helper()
	copied := *db
	life = &Life{last: commits}
	e.record(tb, &copied, &Recorder{life: life})
	return &copied, life, func() {
		if err := errors.Join(copied.Writer.Close(), copied.Reader.Close()); err != nil {
			tb.Error(err)
		}
	}
}
