package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Flaw is a contradiction between rows.
type Flaw struct {
	// Code names the kind of flaw. It stays the same from one version to the next.
	Code string
	// Upload, Shard and Entry are the keys of the rows concerned, 0 if there are none.
	Upload, Shard, Entry int64
	// Other is another shard that may be the wrong one, 0 if there is none.
	Other int64
	// Index is the key of the index concerned, 0 if there is none.
	Index int64
	// Detail says what is wrong with the rows.
	Detail string
}

// The codes of flaws between rows.
const (
	FlawCounter        = "counter"
	FlawSourceOrphan   = "source-orphan"
	FlawUploadOrphan   = "upload-orphan"
	FlawEntryOrphan    = "entry-orphan"
	FlawShardOrphan    = "shard-orphan"
	FlawSegmentOrphan  = "segment-orphan"
	FlawNodeOrphan     = "node-orphan"
	FlawRootOrphan     = "root-orphan"
	FlawSpaceRevision  = "space-revision"
	FlawUploadState    = "upload-state"
	FlawUploadRoot     = "upload-root"
	FlawUploadFinished = "upload-finished"
	FlawUploadUnlinked = "upload-unlinked"
	FlawUploadCounts   = "upload-counts"
	FlawTallyEntries   = "tally-entries"
	FlawTallyShards    = "tally-shards"
	FlawTallySegments  = "tally-segments"
	FlawTallySealed    = "tally-sealed"
	FlawLeaseTorn      = "lease-torn"
	FlawLeaseTime      = "lease-time"
	FlawLeaseIdle      = "lease-idle"
	FlawEntryKind      = "entry-kind"
	FlawEntryState     = "entry-state"
	FlawEntryUnsettled = "entry-unsettled"
	FlawEntryUnlinked  = "entry-unlinked"
	FlawRootStray      = "root-stray"
	FlawRootMalformed  = "root-malformed"
	FlawOriginLost     = "origin-lost"
	FlawOriginRoot     = "origin-root"
	FlawSegmentStray   = "segment-stray"
	FlawSegmentShard   = "segment-shard"
	FlawSegmentShape   = "segment-shape"
	FlawSegmentGap     = "segment-gap"
	FlawSegmentOverlap = "segment-overlap"
	FlawSegmentBeyond  = "segment-beyond"
	FlawSegmentChunk   = "segment-chunk"
	FlawShardKind      = "shard-kind"
	FlawShardFields    = "shard-fields"
	FlawShardDigests   = "shard-digests"
	FlawShardContent   = "shard-content"
	FlawShardUnpacked  = "shard-unpacked"
	FlawShardSize      = "shard-size"
	FlawShardPiece     = "shard-piece"
	FlawNodeCount      = "node-count"
	FlawNodeGap        = "node-gap"
	FlawNodeOverlap    = "node-overlap"
	FlawNodeCodec      = "node-codec"
	FlawNodeDigest     = "node-digest"
	FlawBlockTwice     = "block-twice"
	FlawIndexOrphan    = "index-orphan"
	FlawIndexFields    = "index-fields"
	FlawIndexShards    = "index-shards"
	FlawIndexRoot      = "index-root"
	FlawShardIndex     = "shard-index"
	FlawShardUnindexed = "shard-unindexed"
	// FlawUploadUnindexed marks uploads from before there were indexes. They are sound all the same.
	FlawUploadUnindexed = "upload-unindexed"
	// FlawShardOverfull marks shards from that time that have more blocks than an index has room for.
	FlawShardOverfull = "shard-overfull"
)

// NoteFlaw reports whether a repository that has only flaws with this code is sound.
func NoteFlaw(code string) bool { return code == FlawUploadUnindexed || code == FlawShardOverfull }

// rule is a query for the rows that have a flaw. Its columns are those of flawed.
type rule struct {
	code string
	// detail is a format for the found and the wanted value.
	detail string
	flaws  sq.SelectBuilder
}

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
		sq.NotEq{"shards.state": ShardRemoving}, sq.ConcatExpr("shards.upload NOT IN (", removedUploads(), ")"),
	})
}

func removedUploads() sq.SelectBuilder {
	return sq.Select("id").From("uploads").Where(sq.Eq{"state": Removed})
}

// flawed selects the columns of a rule: the keys of three rows, the found value and the wanted value.
func flawed(upload, shard, entry, is, want string) sq.SelectBuilder {
	whole := func(expression, name string) string {
		return "CAST(COALESCE(" + expression + ", 0) AS BIGINT) AS " + name
	}
	return sq.Select(whole(upload, "upload"), whole(shard, "shard"), whole(entry, "entry"), whole(is, "found"),
		whole(want, "wanted"))
}

// CheckRows yields the flaws of the repository, or of one upload. It checks each part as of one moment: what
// workers commit meanwhile is no flaw. It reads each large table a few times in key order, and holds at most one of
// its rows. In the stores named by apart each upload has its own blocks; elsewhere a block is stored once in a
// space.
func (r *Repository) CheckRows(ctx context.Context, upload *int64, apart ...string) iter.Seq2[Flaw, error] {
	return func(yield func(Flaw, error) bool) {
		found := func(flaw Flaw) error {
			if !yield(flaw, nil) {
				return errEnough
			}
			return nil
		}

		if err := r.checkRows(ctx, scope{upload, apart}, found); err != nil && !errors.Is(err, errEnough) {
			yield(Flaw{}, err)
		}
	}
}

// errEnough ends a check whose caller has stopped iterating.
var errEnough = errors.New("enough")

func (r *Repository) checkRows(ctx context.Context, s scope, found func(Flaw) error) error {
	// The remaining rules get a new snapshot each time; see snapshotFor.
	for rules := r.rules(s); len(rules) > 0; {
		err := r.db.Observe(ctx, "check rows", func(tx *core.Snapshot) (err error) {
			rules, err = r.applySome(ctx, tx, rules, found)
			return err
		})
		if err != nil {
			return err
		}
	}

	for _, stream := range []struct {
		doing string
		table string
		keys  uint64
		run   func(context.Context, *core.Snapshot, scope, span, func(Flaw) error) error
	}{
		{"check the segments of files", "entries", 100_000, r.checkCover},
		{"check the segments of shards", "shards", 100, r.checkChunks},
		{"check the nodes of shards", "shards", 100, r.checkNodes},
	} {
		// Each span has a snapshot of its own, so that none lives long.
		for next := (span{}); !next.last; {
			err := r.db.Observe(ctx, stream.doing, func(tx *core.Snapshot) (err error) {
				if next, err = r.spanBehind(ctx, tx, stream.table, next.to, stream.keys); err != nil {
					return err
				}
				return stream.run(ctx, tx, s, next, found)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// span is the range of keys behind one key, up to and including another: the part of a table that is read in one
// snapshot. The first span has no beginning, the last one no end.
type span struct {
	behind, to *int64
	last       bool
}

// spanBehind returns the span of the given number of rows behind a key, or of all remaining rows.
func (r *Repository) spanBehind(ctx context.Context, tx *core.Snapshot, table string, behind *int64,
	rows uint64) (next span, err error) {
	next.behind = behind

	var to int64
	query := sq.Select("id").From(table).OrderBy("id").Limit(1).Offset(rows - 1)
	err = tx.Get(ctx, &to, next.of(query, "id"))
	if errors.Is(err, ErrNotFound) {
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

// rules returns the checks that are single queries.
func (r *Repository) rules(s scope) (rules []rule) {
	if s.upload == nil {
		rules = append(rules, counterRules()...)
		rules = append(rules, orphanRules()...)
		rules = append(rules, spaceRules()...)
	}
	rules = append(rules, uploadRules(s)...)
	rules = append(rules, r.leaseRules(s)...)
	rules = append(rules, entryRules(s)...)
	rules = append(rules, shardRules(s)...)
	return append(rules, indexRules(s)...)
}

// snapshotFor is how long one snapshot serves further rules. An old snapshot keeps the engine from reclaiming rows
// that others replace.
const snapshotFor = time.Second

// applySome applies rules, at least one, until snapshotFor has passed, and returns the remaining ones.
func (r *Repository) applySome(ctx context.Context, tx *core.Snapshot, rules []rule,
	found func(Flaw) error) ([]rule, error) {
	for began := time.Now(); len(rules) > 0 && time.Since(began) < snapshotFor; rules = rules[1:] {
		if err := r.apply(ctx, tx, rules[0], found); err != nil {
			return nil, fmt.Errorf("%s: %w", rules[0].code, err)
		}
	}
	return rules, nil
}

func (r *Repository) apply(ctx context.Context, tx *core.Snapshot, rule rule, found func(Flaw) error) error {
	return tx.Stream(ctx, rule.flaws, func(rows *sqlx.Rows) error {
		flaw, is, want := Flaw{Code: rule.code}, int64(0), int64(0)
		if err := rows.Scan(&flaw.Upload, &flaw.Shard, &flaw.Entry, &is, &want); err != nil {
			return err
		}

		switch {
		case rule.code == FlawBlockTwice:
			flaw.Other = is
		case ofIndex(rule.code):
			flaw.Index = is
		}

		// The third verb keeps Sprintf from reporting the values that a detail does not use.
		flaw.Detail = fmt.Sprintf(rule.detail+"%[3]s", is, want, "")
		return found(flaw)
	})
}

// leaseRules checks the leases of uploads and shards.
func (r *Repository) leaseRules(s scope) []rule {
	uploads := s.of(flawed("id", "0", "0", "token", "0"), "id").From("uploads")
	shards := s.kept(flawed("upload", "id", "0", "token", "0"), "upload").From("shards")
	return append(
		r.leaseRulesOf(uploads, sq.Eq{"state": []UploadState{Packing, Complete, Incomplete}}),
		r.leaseRulesOf(shards, sq.NotEq{"state": ShardPlanned})...)
}

// leaseRulesOf checks the leases of one table. The idle rows have no work left.
func (r *Repository) leaseRulesOf(rows sq.SelectBuilder, idle sq.Sqlizer) []rule {
	torn := "(token = 0 AND COALESCE(worker, '') <> '' " +
		"OR token = 0 AND COALESCE(lease_began, lease_seen, lease_ends) IS NOT NULL " +
		"OR token <> 0 AND (worker IS NULL OR lease_began IS NULL OR lease_seen IS NULL OR lease_ends IS NULL))"
	absurd := sq.ConcatExpr("token <> 0 AND (lease_ends < lease_began OR lease_ends > ", r.db.At(schema.LongestLease), ")")
	return []rule{
		{FlawLeaseTorn, "its lease has a token without a worker or an end, or these without a token", rows.Where(torn)},
		{FlawLeaseTime, "its lease ends before it began, or more than 30 days from now", rows.Where(absurd)},
		{FlawLeaseIdle, "it has a lease, and nothing is left to do for it", rows.Where(idle).Where("token <> 0")},
	}
}

// UploadKeys returns the keys of all uploads, in order.
func (r *Repository) UploadKeys(ctx context.Context) (keys []int64, err error) {
	err = r.db.ReadAll(ctx, "list uploads", &keys, sq.Select("id").From("uploads").OrderBy("id"))
	return keys, err
}

// SpaceOf returns the key of an upload's space.
func (r *Repository) SpaceOf(ctx context.Context, upload int64) (space int64, err error) {
	err = r.db.ReadOne(ctx, "space of an upload", &space,
		sq.Select("space").From("sources").
			Join("uploads ON uploads.source = sources.id").Where(sq.Eq{"uploads.id": upload}))
	return space, err
}

// ShardFileDigests yields the digests of all shards that have a file.
func (r *Repository) ShardFileDigests(ctx context.Context) iter.Seq2[[]byte, error] {
	type row struct {
		ID     int64  `db:"id"`
		Digest []byte `db:"digest"`
	}

	query := sq.Select("id", "digest").From("shards").Where(sq.NotEq{"digest": nil}).OrderBy("id")
	behind := func(last row) sq.Sqlizer { return sq.Gt{"id": last.ID} }
	rows := core.Rows(ctx, r.db, "read the digests of shards", query, behind)

	return func(yield func([]byte, error) bool) {
		for row, err := range rows {
			if !yield(row.Digest, err) {
				return
			}
		}
	}
}

// UploadState returns the state of an upload, whatever else is in its row, or ErrNotFound.
func (r *Repository) UploadState(ctx context.Context, upload int64) (state UploadState, err error) {
	err = r.db.ReadOne(ctx, "state of the upload", &state,
		sq.Select("state").From("uploads").Where(sq.Eq{"id": upload}))
	return state, err
}
