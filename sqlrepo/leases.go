package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Lease is a worker's time-bound claim on one unit of work: the stage of an upload, or a shard. Its times are those
// of the database's clock.
type Lease struct {
	// Token fences the claim. Each claim has a different one; 0 means that no worker has the work.
	Token int64 `db:"token"`
	// Worker names the worker that has the work, "" if none has.
	Worker string `db:"worker"`
	// Began is when the work was claimed, Seen when the lease was last renewed, Ends when others may claim the work.
	Began Time `db:"lease_began"`
	Seen  Time `db:"lease_seen"`
	Ends  Time `db:"lease_ends"`
	// Progress is what the worker last reported: bytes read of a shard, entries of a stage.
	Progress int64 `db:"progress"`
	// Attempts is how often the work failed, or its lease was lost, since it last succeeded or began again.
	Attempts int64 `db:"attempts"`
	// RetryAt is when failed work may be claimed again.
	RetryAt Time `db:"retry_at"`
	// SetAside is when the work was given up, zero if it was not. It can't be claimed until the upload is opened
	// again.
	SetAside Time `db:"set_aside_at"`
	// Error is why the work last failed.
	Error string `db:"error"`
}

// ErrNothingToClaim is returned if no work of the requested kind is free.
var ErrNothingToClaim = errors.New("nothing to claim")

// Claim is a worker's request for work. Term is how long a lease lasts that is not renewed.
type Claim struct {
	Worker string
	Term   time.Duration
	// Except are the keys of shards that the worker does not want, such as those that it has already.
	Except []int64
	// Known, if not nil, is the upload as the worker knows it. After a failover that has lost commits another upload
	// may have its key: of that one nothing is claimed.
	Known *Upload
}

// known matches if the upload is still the one that the worker knows.
func (c Claim) known() sq.Sqlizer {
	if c.Known == nil {
		return nil
	}
	same := sq.Select("1").From("uploads AS known").
		Where(sq.Eq{"known.id": c.Known.ID, "known.source": c.Known.Source, "known.started_at": c.Known.StartedAt})
	return sq.ConcatExpr("EXISTS (", same, ")")
}

// Unit is work that a lease is on: a Stage or a Shard.
type Unit interface {
	unit() (table string, id, token int64)
}

func (s Stage) unit() (string, int64, int64) { return "uploads", s.Upload.ID, s.Upload.Token }
func (s Shard) unit() (string, int64, int64) { return "shards", s.ID, s.Token }

// claimable matches work that no worker has, or whose lease has ended, and that may be tried now.
func (r *Repository) claimable() sq.Sqlizer {
	return sq.And{
		sq.Eq{"set_aside_at": nil},
		sq.Or{sq.Eq{"token": 0}, schema.Ended(r.db.At(0))},
		sq.Or{sq.Eq{"retry_at": nil}, sq.ConcatExpr("retry_at <= ", r.db.At(0)),
			sq.ConcatExpr("retry_at > ", r.db.At(LongestPause))},
	}
}

// LongestPause is the longest wait before failed work may be claimed again. A later time to try again was set
// before the database's clock stepped back.
const LongestPause = time.Minute

// claim claims a unit of work with one statement. If the answer was lost, the next attempt recognizes its own claim
// by the token. Each attempt has its own token, since the server may be about to carry out an earlier one.
func (r *Repository) claim(ctx context.Context, doing, table string, fields []string, claim Claim,
	which sq.Sqlizer,
	dest any) error {
	var tokens []int64
	// Taking over a lease that has ended counts as a failed attempt.
	update := sq.Update(table).Set("worker", Text(claim.Worker)).Set("progress", 0).
		Set("lease_began", r.db.At(0)).Set("lease_seen", r.db.At(0)).Set("lease_ends", r.db.At(claim.Term)).
		Set("attempts", sq.Expr("attempts + CASE WHEN token = 0 THEN 0 ELSE 1 END")).
		Where(which).Where(claim.known()).Suffix("RETURNING " + core.ColumnList(fields))

	r.unclaimLate(ctx)
	err := r.db.Retry(ctx, doing, func() error {
		// An earlier attempt may have succeeded although its answer was lost.
		if len(tokens) > 0 {
			mine := sq.Select(fields...).From(table).Where(sq.Eq{"token": tokens})
			if err := r.db.Writer.Get(ctx, dest, mine); !errors.Is(err, ErrNotFound) {
				return err
			}
		}

		// A token is never 0, which means that no worker has the work.
		token := 1 + rand.Int64N(math.MaxInt64)
		tokens = append(tokens, token)
		// The token is set last: attempts read it as it was, also on engines that set one column after the other.
		return r.db.ChangeOne(ctx, dest, update.Set("token", token))
	})
	if errors.Is(err, ErrNotFound) {
		return ErrNothingToClaim
	}

	if err != nil {
		r.unclaim(ctx, table, tokens)
		return err
	}

	// The server may still carry out the attempts that got no answer.
	r.late.add(lateClaim{table: table, tokens: tokens[:len(tokens)-1], until: time.Now().Add(claim.Term)})
	return nil
}

// lateClaim holds the tokens of attempts to claim that got no answer, before one that did. The server may still
// carry them out, and no worker would work under such a lease.
type lateClaim struct {
	table  string
	tokens []int64
	until  time.Time
}

// lateClaims holds claims that each later claim takes back, until their leases would have ended.
type lateClaims struct {
	mu  sync.Mutex
	all []lateClaim
}

func (l *lateClaims) add(late lateClaim) {
	if len(late.tokens) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, late)
}

// list drops the claims whose time is over and returns the others.
func (l *lateClaims) list() []lateClaim {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(late lateClaim) bool { return time.Now().After(late.until) })
	return slices.Clone(l.all)
}

func (r *Repository) unclaimLate(ctx context.Context) {
	for _, late := range r.late.list() {
		r.unclaim(ctx, late.table, late.tokens)
	}
}

// unclaimTimeout limits how long taking back a claim may take. A claim that stays ends by itself.
const unclaimTimeout = 2 * time.Second

// unclaim takes back a claim that failed for the caller, as when its context ended, but may have been committed.
func (r *Repository) unclaim(ctx context.Context, table string, tokens []int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unclaimTimeout)
	defer cancel()
	if _, err := r.db.Writer.Exec(ctx, schema.Free(sq.Update(table)).Where(sq.Eq{"token": tokens})); err != nil {
		r.db.Log.Debug("a claim was not taken back", "error", err)
	}
}

// Renew extends a lease and records how far the work is. It returns ErrLeaseLost if another worker has the work. A
// lease that has ended is renewed like any other if no worker has claimed the work since.
func (r *Repository) Renew(ctx context.Context, unit Unit, term time.Duration, progress int64) error {
	table, _, _ := unitOf(unit)
	return r.change(ctx, "renew the lease", sq.Update(table).Set("lease_seen", r.db.At(0)).
		Set("lease_ends", r.db.At(term)).Set("progress", progress).Where(held(unit)))
}

// Release gives back work that was not done, as if it had never been claimed.
func (r *Repository) Release(ctx context.Context, unit Unit) error {
	table, _, _ := unitOf(unit)
	return r.change(ctx, "release the lease", schema.Free(sq.Update(table)).Where(held(unit)))
}

// Fail gives back work that failed. The work can't be claimed before a pause has passed.
func (r *Repository) Fail(ctx context.Context, unit Unit, reason string, pause time.Duration) error {
	table, _, _ := unitOf(unit)
	return r.change(ctx, "record the failure", schema.Free(sq.Update(table)).Set("error", kept(reason)).
		Set("attempts", sq.Expr("attempts + 1")).Set("retry_at", r.db.At(min(pause, LongestPause))).Where(held(unit)))
}

// SetAside gives up work so that everything else can go on without it. In the order of sealing, a shard that is set
// aside counts as settled.
func (r *Repository) SetAside(ctx context.Context, unit Unit, reason string) error {
	table, id, _ := unitOf(unit)
	return r.db.Transact(ctx, "set the work aside", func(tx *core.Tx) error {
		if shard, ok := unit.(Shard); ok {
			if err := lockSpace(ctx, tx, shard.Upload); err != nil {
				return err
			}
			count := sq.Update("uploads").Set("aside_shards", sq.Expr("aside_shards + 1"))
			if err := tx.Later(ctx, countSettled(shard, count), nil); err != nil {
				return err
			}
		}

		aside := schema.Free(sq.Update(table)).Set("error", kept(reason)).
			Set("attempts", sq.Expr("attempts + 1")).Set("set_aside_at", r.db.At(0)).Where(held(unit))
		return tx.Later(ctx, aside, func(rows int64) error { return leaseLost(rows, table, id) })
	})
}

// lockSpace keeps shards of an upload's space from being sealed or set aside until the transaction ends. Counting
// settled shards reads other shards: it must see them as they are, not as they were before it waited for another
// transaction.
func lockSpace(ctx context.Context, tx *core.Tx, upload int64) error {
	space := sq.Select("space").From("sources").Join("uploads ON uploads.source = sources.id").
		Where(sq.Eq{"uploads.id": upload})
	return tx.Later(ctx, sq.Update("spaces").Set("revision", sq.Expr("revision")).
		Where(core.Within("id", space)), nil)
}

func unitOf(unit Unit) (table string, id, token int64) {
	if unit == nil {
		unit = Stage{}
	}
	return unit.unit()
}

// held matches the unit's row while the unit still has the lease. A token of 0 is no lease.
func held(unit Unit) sq.Sqlizer {
	_, id, token := unitOf(unit)
	return sq.And{sq.Eq{"id": id, "token": token}, sq.NotEq{"token": 0}}
}

// change runs one statement on leased work, outside of a transaction. Running the statement twice must do no harm.
func (r *Repository) change(ctx context.Context, doing string, update sq.UpdateBuilder) error {
	return r.db.Retry(ctx, doing, func() error {
		rows, err := r.db.Change(ctx, update)
		if err != nil {
			return err
		}
		return core.Affected(rows, ErrLeaseLost)
	})
}

func leaseLost(rows int64, table string, id int64) error {
	return core.Affected(rows, fmt.Errorf("row %d of %s: %w", id, table, ErrLeaseLost))
}
