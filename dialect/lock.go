package dialect

import (
	"context"
	"errors"
	"sync"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Lock is held until it is released or lost. Meanwhile each transaction of the handle that took the lock proves that
// it is held, and keeps it from passing to others until the transaction ends.
type Lock interface {
	// Watch returns a copy of ctx that ends with the lock. If the lock is lost, the cause is ErrLockLost.
	Watch(ctx context.Context) context.Context
	Release() error
}

// The errors of locks.
var (
	// ErrLocked is returned when another process holds the lock; the error's text says which.
	ErrLocked = errors.New("locked by another process")
	// ErrLockLost is returned for work under a lock that was lost. Everything committed before stays, and the work
	// may be begun again.
	ErrLockLost = errors.New("the lock on the database was lost, so the work under it was ended: run the command again")
)

// LockCounter is the name of the counter that every change under LockAll raises, on engines where locks can be lost.
const LockCounter = "locked"

// Mark reads a number that changes whenever a process has changed something under LockAll. A lock of LockUse whose
// session has ended is taken again. It is lost only if the number has changed by then.
type Mark func(ctx context.Context, session sqlx.QueryerContext) (int64, error)

// LockUse keeps LockAll away until the lock is released or its process ends. Any number of processes may hold it. It
// returns ErrLocked, with the holder, if another process has locked all.
func (db *DB) LockUse(ctx context.Context) (Lock, error) { return db.Engine.LockUse(ctx, db) }

// LockAll keeps all others away until the lock is released. It returns ErrLocked, with a holder, if another process
// is at work.
func (db *DB) LockAll(ctx context.Context) (Lock, error) { return db.Engine.LockAll(ctx, db) }

// Watchers holds the contexts that end with a lock. The zero value is ready to use.
type Watchers struct {
	mu      sync.Mutex
	over    error
	cancels []context.CancelCauseFunc
}

// Watch implements Lock.
func (w *Watchers) Watch(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over != nil {
		cancel(w.over)
	}
	w.cancels = append(w.cancels, cancel)
	return ctx
}

// End ends the contexts, with the cause given by the first call.
func (w *Watchers) End(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over == nil {
		w.over = cause
	}
	for _, cancel := range w.cancels {
		cancel(w.over)
	}
}

// Lost returns why the lock was lost, or nil.
func (w *Watchers) Lost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.over, ErrLockLost) {
		return w.over
	}
	return nil
}

// Guard is a lock that transactions prove, since it may be lost without notice.
type Guard interface {
	// Fence returns an expression that is 1 if the lock is held, and that keeps it from passing to others until the
	// transaction ends.
	Fence() sq.Sqlizer
	// Failed is called if the fence was not 1, and returns the reason.
	Failed() error
}

// guards holds the locks of a handle.
type guards struct {
	mu   sync.Mutex
	held []Guard
}

// AddGuard makes all transactions of the handle prove a lock.
func (db *DB) AddGuard(one Guard) {
	g := db.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, one)
}

// RemoveGuard undoes AddGuard.
func (db *DB) RemoveGuard(one Guard) {
	g := db.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.held {
		if g.held[i] == one {
			g.held = append(g.held[:i:i], g.held[i+1:]...)
			return
		}
	}
}

func (g *guards) list() []Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// StillLocked returns the condition that all locks of the handle are held, for a statement outside of transactions.
// It is nil if there are no locks.
func (db *DB) StillLocked() sq.Sqlizer {
	var all sq.And
	for _, one := range db.guards.list() {
		all = append(all, sq.ConcatExpr("(SELECT ", one.Fence(), ") = 1"))
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// Prove makes a transaction that was not begun with Begin prove the locks of the handle, until it ends. It returns
// ErrLockLost if one was lost.
func (db *DB) Prove(ctx context.Context, session sqlx.QueryerContext) error {
	for _, one := range db.guards.list() {
		proof, err := db.proof(one)
		if err != nil {
			return err
		}

		if err := sqlx.GetContext(ctx, session, &proof.Values[0], proof.Text, proof.Args...); err != nil {
			return err
		}
		if err := proof.Check(1); err != nil {
			return err
		}
	}
	return nil
}

// proofs returns the statements by which a transaction proves the locks of the handle.
func (db *DB) proofs() (statements []Statement, err error) {
	for _, one := range db.guards.list() {
		proof, err := db.proof(one)
		if err != nil {
			return nil, err
		}
		statements = append(statements, proof)
	}
	return statements, nil
}

func (db *DB) proof(one Guard) (Statement, error) {
	text, args, err := sq.Select().Column(one.Fence()).PlaceholderFormat(db.Placeholder).ToSql()
	held := make([]int64, 1)
	return Statement{Text: text, Args: args, Values: held, Check: func(int64) error {
		if held[0] != 1 {
			return one.Failed()
		}
		return nil
	}}, err
}

// BlameLock adds to a failure that the lock which ctx watches was lost, if it was.
func BlameLock(ctx context.Context, failure error) error {
	cause := context.Cause(ctx)
	if failure == nil || !errors.Is(cause, ErrLockLost) || errors.Is(failure, ErrLockLost) {
		return failure
	}
	return errors.Join(cause, failure)
}
