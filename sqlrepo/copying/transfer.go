package copying

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// The reasons for which a repository can't be copied.
var (
	// ErrSourceInUse is returned, naming who is at work, for a source that others may change while it is copied.
	ErrSourceInUse = errors.New("the source is in use")
	// ErrNotEmpty is returned for a target that already holds something.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrSameDatabase is returned for a target in the source's own database.
	ErrSameDatabase = errors.New("source and target are in the same database")
	// ErrDifferent is returned if the target does not hold what was read from the source.
	ErrDifferent = errors.New("the copy differs from the source")
)

// Transfer says how a repository is copied.
type Transfer struct {
	// AllowLive allows copying a source that others are at work on, as of one moment.
	AllowLive bool
	// Ready, if not nil, is called once source and target are locked. TransferTo returns its error.
	Ready    func(ctx context.Context) error
	Progress Progress
	// Expected, if not nil, is the content that the source must have. If the source has other content, TransferTo
	// returns ErrDifferent before it commits anything.
	Expected Content
}

// TransferTo copies everything that the repository holds at one moment into an empty one, in one transaction: if
// anything fails, the target stays empty. Before the commit, TransferTo reads back what the target holds and
// compares it. It does not copy leases: in the copy no worker is at work. Keys go on from where they are. The
// target is locked meanwhile, and so is the source unless live work is allowed.
//
// TransferTo returns ErrSourceInUse, ErrNotEmpty or ErrSameDatabase for what can't be copied, ErrLocked if others
// use the target, and ErrDifferent, naming the table, if the copy is not what it should be.
func (c *Copier) TransferTo(ctx context.Context, target *sqlrepo.Repository,
	transfer Transfer) (copied Content, err error) {
	same, err := c.db.Same(ctx, target.DB().DB)
	if err != nil {
		return nil, c.db.Classified("compare source and target", err)
	}
	if same {
		return nil, ErrSameDatabase
	}

	ctx, release, err := c.lockTransfer(ctx, target, transfer.AllowLive)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), release()) }()

	if transfer.Ready != nil {
		if err := transfer.Ready(ctx); err != nil {
			return nil, err
		}
	}

	err = target.DB().Transact(ctx, "copy the repository", func(tx *core.Tx) (err error) {
		copied, err = c.fill(ctx, tx, transfer)
		return err
	})

	var failed *sourceError
	if errors.As(err, &failed) && ctx.Err() == nil {
		err = failed.cause
	}
	if err != nil {
		return nil, err
	}
	return copied, target.Analyze(ctx)
}

// sourceError hides an error of the source's engine from the classification of the target's errors.
type sourceError struct{ cause error }

func (e *sourceError) Error() string { return e.cause.Error() }

func (c *Copier) sourceError(doing string, err error) error {
	if errors.Is(err, ErrSourceInUse) {
		return &sourceError{err}
	}
	return &sourceError{c.db.Classified(doing, err)}
}

// lockTransfer locks target and source, and returns a context that ends when either lock is lost.
func (c *Copier) lockTransfer(ctx context.Context, target *sqlrepo.Repository, allowLive bool,
) (locked context.Context, release func() error, err error) {
	all, err := target.LockAll(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("the target: %w", err)
	}

	lockSource := c.db.LockAll
	if allowLive {
		lockSource = c.db.LockUse
	}
	source, err := lockSource(ctx)
	if err != nil {
		if errors.Is(err, sqlrepo.ErrLocked) && !allowLive {
			err = fmt.Errorf("%w: %w", ErrSourceInUse, err)
		}
		return nil, nil, errors.Join(err, all.Release())
	}

	locked = source.Watch(all.Watch(ctx))
	return locked, func() error { return errors.Join(source.Release(), all.Release()) }, nil
}

// refuseUsed returns ErrNotEmpty unless the repository is as its schema was created.
func refuseUsed(ctx context.Context, q core.Queryer) error {
	for _, t := range schema.Tables {
		var used bool
		query := sq.Select().Column(sq.ConcatExpr("EXISTS (", usedRows(t), ")"))
		if err := q.Get(ctx, &used, query); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: there are rows in its table %s", ErrNotEmpty, t.Name)
		}
	}
	return nil
}

// refuseLive returns ErrSourceInUse if a worker has a lease: behind a pooler, workers hold no lock.
func (c *Copier) refuseLive(ctx context.Context, q core.Queryer) error {
	workers, err := sqlrepo.Workers(ctx, q, nil, schema.Live(c.db.At(0)))
	if err == nil && len(workers) > 0 {
		err = fmt.Errorf("%w: at work is %s", ErrSourceInUse, strings.Join(workers, ", "))
	}
	return err
}
