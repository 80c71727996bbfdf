package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// What keeps a repository from being copied.
var (
	// ErrSourceInUse is returned, with who is at work, for a source that others may change while it is copied.
	ErrSourceInUse = errors.New("the source is in use")
	// ErrNotEmpty is returned for a target that holds something already.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrSameDatabase is returned for a target that is in the source's own database.
	ErrSameDatabase = errors.New("source and target are in the same database")
	// ErrDifferent is returned when what the target holds is not what was read from the source.
	ErrDifferent = errors.New("the copy differs from the source")
)

// Transfer says how a repository is copied.
type Transfer struct {
	// AllowLive copies a source that others are at work on, as of one moment.
	AllowLive bool
	// Ready is called once source and target are locked; its error is returned. It may be nil.
	Ready    func(ctx context.Context) error
	Progress Progress
	// Expected, if not nil, is what the source has to hold. ErrDifferent is returned, before anything is committed, when
	// it holds something else.
	Expected Content
}

// Progress is told how far a transfer is; nil is not.
type Progress func(TransferProgress)

func (p Progress) tell(how TransferProgress) {
	if p != nil {
		p(how)
	}
}

// TransferProgress is how far a transfer is.
type TransferProgress struct {
	Table string
	// Checking tells that the rows are read back from the target.
	Checking bool
	// Rows is how many of the table were copied, or read back.
	Rows int64
}

// TransferTo copies all that the repository holds, as of one moment, into an empty one, in one transaction: whatever
// fails, the target stays empty. What it holds is read back and compared before that is committed. Leases are not
// carried over: in the copy nobody is at work. Keys go on from where they are. The target is locked meanwhile, and so
// is the source, unless live work is allowed.
//
// It returns ErrSourceInUse, ErrNotEmpty or ErrSameDatabase for what can't be copied, ErrLocked when others use the
// target, and ErrDifferent, with the table, when the copy was not what it should be.
func (r *Repository) TransferTo(ctx context.Context, target *Repository,
	transfer Transfer) (copied Content, err error) {
	same, err := r.db.Same(ctx, target.db)
	if err != nil {
		return nil, r.classified("compare source and target", err)
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
	err = target.withTx(ctx, "copy the repository", func(tx *dialect.Tx) (err error) {
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

// sourceError hides what the source's engine says from the question whether the target's has failed.
type sourceError struct{ cause error }

func (e *sourceError) Error() string { return e.cause.Error() }

func (r *Repository) sourceError(doing string, err error) error {
	if errors.Is(err, ErrSourceInUse) {
		return &sourceError{err}
	}
	return &sourceError{r.classified(doing, err)}
}

// lockTransfer locks target and source, and returns a context that ends when either lock is lost.
func (r *Repository) lockTransfer(ctx context.Context, target *Repository, allowLive bool,
) (locked context.Context, release func() error, err error) {
	all, err := target.LockAll(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("the target: %w", err)
	}
	take := r.lockAll
	if allowLive {
		take = r.LockUse
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

// refuseLive returns ErrSourceInUse when somebody has a lease: workers on the other side of a pooler hold no lock.
func (r *Repository) refuseLive(ctx context.Context, q queryer) error {
	for _, table := range []string{"uploads", "shards"} {
		var workers []string
		query := squirrel.Select("DISTINCT COALESCE(worker, '')").From(table).Where(r.live()).Limit(3)
		if err := r.list(ctx, q, &workers, query); err != nil {
			return err
		}
		if len(workers) > 0 {
			return fmt.Errorf("%w: at work is %s", ErrSourceInUse, strings.Join(workers, ", "))
		}
	}
	return nil
}

// refuseUsed returns ErrNotEmpty unless the repository is as its schema was made.
func (r *Repository) refuseUsed(ctx context.Context, q queryer) error {
	for _, t := range tables {
		var used bool
		query := squirrel.Select().Column(squirrel.ConcatExpr("EXISTS (", t.used(), ")"))
		if err := r.get(ctx, q, &used, query); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: there are rows in its table %s", ErrNotEmpty, t.name)
		}
	}
	return nil
}
