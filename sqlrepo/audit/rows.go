package audit

import (
	"context"
	"errors"
	"iter"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// scope is the part of the repository that is checked: everything, or one upload.
type scope struct {
	upload *int64
	// apart lists the stores in which each upload has its own blocks.
	apart []string
}

// of narrows a query to the upload in a column. It leaves out removed uploads, which need not keep every rule.
func (s scope) of(query sq.SelectBuilder, column string) sq.SelectBuilder {
	return s.kept(query, column).Where(sq.ConcatExpr(column+" NOT IN (", removedUploads(), ")"))
}

// kept narrows a query to the upload in a column. What removed uploads keep for others must be as sound as the
// rest.
func (s scope) kept(query sq.SelectBuilder, column string) sq.SelectBuilder {
	if s.upload == nil {
		return query
	}
	return query.Where(sq.Eq{column: *s.upload})
}

// keptShards narrows a query to shards that stay: it leaves out those that are being removed with their uploads.
func (s scope) keptShards(query sq.SelectBuilder) sq.SelectBuilder {
	return s.kept(query, "shards.upload").Where(sq.Or{
		sq.NotEq{"shards.state": sqlrepo.ShardRemoving}, sq.ConcatExpr("shards.upload NOT IN (", removedUploads(), ")"),
	})
}

func removedUploads() sq.SelectBuilder {
	return sq.Select("id").From("uploads").Where(sq.Eq{"state": sqlrepo.Removed})
}

// CheckRows yields the flaws of the repository, or of one upload. It checks each part as of one moment: what
// workers commit meanwhile is no flaw. It reads each large table a few times in key order, and holds at most one of
// its rows. In the stores named by apart each upload has its own blocks; elsewhere a block is stored once in a
// space.
func (a *Auditor) CheckRows(ctx context.Context, upload *int64, apart ...string) iter.Seq2[Flaw, error] {
	return func(yield func(Flaw, error) bool) {
		found := func(flaw Flaw) error {
			if !yield(flaw, nil) {
				return errEnough
			}
			return nil
		}

		if err := a.checkRows(ctx, scope{upload, apart}, found); err != nil && !errors.Is(err, errEnough) {
			yield(Flaw{}, err)
		}
	}
}

// errEnough ends a check whose caller has stopped iterating.
var errEnough = errors.New("enough")

func (a *Auditor) checkRows(ctx context.Context, s scope, found func(Flaw) error) error {
	// The remaining rules get a new snapshot each time; see snapshotFor.
	rules := a.rules(s)
	for all := len(rules); len(rules) > 0; {
		a.report(Progress{Doing: "checking rows", Item: "rule", Done: int64(all - len(rules)), Total: int64(all)})
		err := a.db.Observe(ctx, "check rows", func(tx *core.Snapshot) (err error) {
			rules, err = applySome(ctx, tx, rules, found)
			return err
		})
		if err != nil {
			return err
		}
	}

	for _, one := range []stream{
		{"segments of files", "entries", "entry", 100_000, checkCover},
		{"segments of shards", "shards", "shard", 100, checkChunks},
		{"nodes of shards", "shards", "shard", 100, checkNodes},
	} {
		if err := a.checkStream(ctx, s, one, found); err != nil {
			return err
		}
	}
	return nil
}

// stream is a check that reads rows in the order of the keys of a table, some at a time.
type stream struct {
	doing, table, item string
	keys               uint64
	run                func(context.Context, *core.Snapshot, scope, span, func(Flaw) error) error
}

func (a *Auditor) checkStream(ctx context.Context, s scope, one stream, found func(Flaw) error) error {
	how := Progress{Doing: "checking " + one.doing, Item: one.item}
	if a.progress != nil {
		count := sq.Select("COUNT(*)").From(one.table)
		if err := a.db.ReadOne(ctx, "count rows", &how.Total, count); err != nil {
			return err
		}
	}

	// Each span has a snapshot of its own, so that none lives long.
	for next := (span{}); !next.last; {
		a.report(how)
		err := a.db.Observe(ctx, "check the "+one.doing, func(tx *core.Snapshot) (err error) {
			if next, err = spanBehind(ctx, tx, one.table, next.to, one.keys); err != nil {
				return err
			}
			return one.run(ctx, tx, s, next, found)
		})
		if err != nil {
			return err
		}
		how.Done = min(how.Done+int64(one.keys), how.Total)
	}

	how.Done = how.Total
	a.report(how)
	return nil
}

// span is the range of keys behind one key, up to and including another: the part of a table that is read in one
// snapshot. The first span has no beginning, the last one no end.
type span struct {
	behind, to *int64
	last       bool
}

// spanBehind returns the span of the given number of rows behind a key, or of all remaining rows.
func spanBehind(ctx context.Context, tx *core.Snapshot, table string, behind *int64,
	rows uint64) (next span, err error) {
	next.behind = behind

	var to int64
	query := sq.Select("id").From(table).OrderBy("id").Limit(1).Offset(rows - 1)
	err = tx.Get(ctx, &to, next.of(query, "id"))
	if errors.Is(err, sqlrepo.ErrNotFound) {
		next.last = true
		return next, nil
	}
	next.to = &to
	return next, err
}

// of narrows a query to the rows whose keys, in a column, are in the span.
func (s span) of(query sq.SelectBuilder, column string) sq.SelectBuilder {
	if s.behind != nil {
		query = query.Where(sq.Gt{column: *s.behind})
	}
	if s.to != nil {
		query = query.Where(sq.LtOrEq{column: *s.to})
	}
	return query
}
