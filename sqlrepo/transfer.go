package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
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

// Progress is called, unless it is nil, as rows are copied.
type Progress func(TransferProgress)

func (p Progress) tell(how TransferProgress) {
	if p != nil {
		p(how)
	}
}

// TransferProgress is how far a transfer is.
type TransferProgress struct {
	Table string
	// Checking is true while the rows are read back from the target.
	Checking bool
	// Rows is how many rows of the table were copied, or read back.
	Rows int64
}

// TransferTo copies everything that the repository holds at one moment into an empty one, in one transaction: if
// anything fails, the target stays empty. Before the commit, TransferTo reads back what the target holds and
// compares it. It does not copy leases: in the copy no worker is at work. Keys go on from where they are. The
// target is locked meanwhile, and so is the source unless live work is allowed.
//
// TransferTo returns ErrSourceInUse, ErrNotEmpty or ErrSameDatabase for what can't be copied, ErrLocked if others
// use the target, and ErrDifferent, naming the table, if the copy is not what it should be.
func (r *Repository) TransferTo(ctx context.Context, target *Repository,
	transfer Transfer) (copied Content, err error) {
	same, err := r.db.Same(ctx, target.db.DB)
	if err != nil {
		return nil, r.db.Classified("compare source and target", err)
	}
	if same {
		return nil, ErrSameDatabase
	}

	ctx, release, err := r.lockTransfer(ctx, target, transfer.AllowLive)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), release()) }()

	if transfer.Ready != nil {
		if err := transfer.Ready(ctx); err != nil {
			return nil, err
		}
	}

	err = target.db.Transact(ctx, "copy the repository", func(tx *core.Tx) (err error) {
		copied, err = r.fill(ctx, target, tx, transfer)
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

func (r *Repository) sourceError(doing string, err error) error {
	if errors.Is(err, ErrSourceInUse) {
		return &sourceError{err}
	}
	return &sourceError{r.db.Classified(doing, err)}
}

// lockTransfer locks target and source, and returns a context that ends when either lock is lost.
func (r *Repository) lockTransfer(ctx context.Context, target *Repository, allowLive bool,
) (locked context.Context, release func() error, err error) {
	all, err := target.LockAll(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("the target: %w", err)
	}

	take := r.db.LockAll
	if allowLive {
		take = r.db.LockUse
	}
	source, err := take(ctx)
	if err != nil {
		if errors.Is(err, ErrLocked) && !allowLive {
			err = fmt.Errorf("%w: %w", ErrSourceInUse, err)
		}
		return nil, nil, errors.Join(err, all.Release())
	}

	locked = source.Watch(all.Watch(ctx))
	return locked, func() error { return errors.Join(source.Release(), all.Release()) }, nil
}

// refuseUsed returns ErrNotEmpty unless the repository is as its schema was created.
func (r *Repository) refuseUsed(ctx context.Context, q core.Queryer) error {
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
