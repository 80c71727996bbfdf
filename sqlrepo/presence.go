package sqlrepo

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// mostWorkers bounds how many of those at work are named.
const mostWorkers = 3

// Workers returns who has leases that meet a condition, on an upload and its shards, or on any work if upload is nil.
// It is for the packages below this one.
func Workers(ctx context.Context, q core.Queryer, upload *int64,
	condition sq.Sqlizer) (workers []string, err error) {
	leases := func(table, key string) sq.SelectBuilder {
		query := sq.Select("COALESCE(worker, '')").From(table).Where(condition)
		if upload != nil {
			query = query.Where(sq.Eq{key: *upload})
		}
		return query
	}
	all := leases("shards", "upload").SuffixExpr(sq.ConcatExpr("UNION ", leases("uploads", "id")))
	if upload == nil {
		all = all.SuffixExpr(sq.ConcatExpr("UNION ", leases("sendings", "")))
	}
	err = q.List(ctx, &workers, all.Suffix("LIMIT ?", mostWorkers))
	return workers, err
}

// AtWork returns ErrAtWork, with who it is, when somebody has a lease that has not ended. Leases that end later than
// any can are damage, and don't count.
func (r *Repository) AtWork(ctx context.Context) error {
	return r.db.Retry(ctx, "look who is at work", func() error {
		possible := sq.And{schema.Live(r.db.At(0)), sq.NotEq{"worker": nil},
			sq.ConcatExpr("lease_ends <= ", r.db.At(schema.LongestLease))}
		workers, err := Workers(ctx, r.db.Reader, nil, possible)
		if err == nil && len(workers) > 0 {
			err = fmt.Errorf("%w: %s", ErrAtWork, presence.Describe(workers[0]))
		}
		return err
	})
}

// StopWork takes away the leases on an upload and its shards that have ended. It returns ErrAtWork, with who it is, if
// one has not.
func StopWork(ctx context.Context, tx *core.Tx, id int64) error {
	workers, err := Workers(ctx, tx, &id, schema.Live(tx.DB.At(0)))
	if err != nil {
		return err
	}
	if len(workers) > 0 {
		return fmt.Errorf("upload %d: %w: %s has a lease", id, ErrAtWork, presence.Describe(workers[0]))
	}

	for _, of := range []struct{ table, key string }{{"shards", "upload"}, {"uploads", "id"}} {
		claimed := sq.And{sq.Eq{of.key: id}, sq.NotEq{"token": 0}}
		if _, err := tx.Exec(ctx, schema.Free(sq.Update(of.table)).Where(claimed)); err != nil {
			return err
		}
	}
	return nil
}

// StopStage takes away the lease on the stage of an upload if it has ended. It returns ErrAtWork, with who it is and
// what they are doing, if it has not.
func StopStage(ctx context.Context, tx *core.Tx, upload Upload, doing string) error {
	rows, err := tx.Exec(ctx, schema.Free(sq.Update("uploads")).Where(sq.Eq{"id": upload.ID}).
		Where(schema.Ended(tx.DB.At(0))))
	if err == nil && rows == 0 {
		err = fmt.Errorf("upload %d: %w: %s is %s", upload.ID, ErrAtWork, presence.Describe(upload.Worker), doing)
	}
	return err
}
