package sqlrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Holdings are the blocks, of those asked for, that a space holds, and the revision that the space had before they
// were looked up.
type Holdings struct {
	Revision int64
	Digests  map[Digest]struct{}
}

// Scope says which shards of a space hold content for an upload: all of its content is to lie in its store.
type Scope struct {
	Space int64
	// Store is the identity of the upload's store, or "" for shards in any store. Shards of uploads from before
	// stores had identities may be anywhere, and count.
	Store string
	// Upload, if not 0, is the only upload whose shards count.
	Upload int64
}

// where narrows a query of shards, joined with their uploads and sources, to the scope.
func (s Scope) where(query sq.SelectBuilder) sq.SelectBuilder {
	query = query.Where(sq.Eq{"sources.space": s.Space})
	if s.Store != "" {
		query = query.Where(inStore("uploads.store", s.Store))
	}
	if s.Upload != 0 {
		query = query.Where(sq.Eq{"uploads.id": s.Upload})
	}
	return query
}

// inStore matches uploads in the given store and uploads whose store is unknown.
func inStore(column, store string) sq.Sqlizer {
	return sq.Or{sq.Eq{column: store}, sq.Eq{column: nil}}
}

// Held returns which of the given blocks are in packed shards.
func (r *Repository) Held(ctx context.Context, within Scope, digests []Digest) (held Holdings, err error) {
	err = r.db.Retry(ctx, "look up blocks", func() error {
		held = Holdings{Digests: map[Digest]struct{}{}}
		revision := sq.Select("revision").From("spaces").Where(sq.Eq{"id": within.Space})
		if err := r.db.Reader.Get(ctx, &held.Revision, revision); err != nil || held.Revision == 0 {
			return err
		}
		return r.lookUp(ctx, within, digests, held.Digests)
	})
	return held, err
}

// HeldAt is like Held but takes the revision of the space from the caller, who knows it from sealing the last
// shard. Sealing fails with ErrSpaceChanged if another shard was sealed since.
func (r *Repository) HeldAt(ctx context.Context, within Scope, revision int64,
	digests []Digest) (held Holdings, err error) {
	err = r.db.Retry(ctx, "look up blocks", func() error {
		held = Holdings{Revision: revision, Digests: map[Digest]struct{}{}}
		return r.lookUp(ctx, within, digests, held.Digests)
	})
	return held, err
}

func (r *Repository) lookUp(ctx context.Context, within Scope, digests []Digest, held map[Digest]struct{}) error {
	return r.probe(ctx, within, digests, func(digest Digest, _ int64) { held[digest] = struct{}{} })
}

// probe calls found for each of the given blocks that is in a packed shard, with that shard.
func (r *Repository) probe(ctx context.Context, within Scope, digests []Digest, found func(Digest, int64)) error {
	wanted, prefixes := make(map[Digest]struct{}, len(digests)), make([]int64, len(digests))
	for i := range digests {
		wanted[digests[i]] = struct{}{}
		prefixes[i], _ = schema.SplitDigest(digests[i][:])
	}

	query := within.where(r.db.Probe(sq.Select("nodes.prefix", "nodes.suffix", "nodes.shard"), "nodes", "prefix",
		prefixes).
		CrossJoin("shards").CrossJoin("uploads").CrossJoin("sources").
		Where("shards.id = nodes.shard AND uploads.id = shards.upload AND sources.id = uploads.source").
		Where(sq.NotEq{"shards.state": ShardRemoving}))

	var rows []struct {
		Prefix int64  `db:"prefix"`
		Suffix []byte `db:"suffix"`
		Shard  int64  `db:"shard"`
	}
	if err := r.db.Reader.List(ctx, &rows, query); err != nil {
		return err
	}

	for _, row := range rows {
		digest, err := schema.JoinDigest(row.Prefix, row.Suffix)
		if err != nil {
			return err
		}

		// The query compares only the first 64 bits of digests.
		if _, ok := wanted[digest]; ok {
			found(digest, row.Shard)
		}
	}
	return nil
}

// Seal has what is needed to add a shard to a space whose store holds each block once.
type Seal struct {
	Space int64
	// Revision is the revision of the Holdings whose blocks the shard leaves out.
	Revision int64
	// Next is the revision that the space gets; 0 means the one after Revision. See NextRevision.
	Next int64
	// Store makes the shard's bytes durable and returns their location, "" for an empty shard. While it runs, no
	// other shard of the space can be sealed. If the transaction is retried, Store is called again and has nothing
	// to do.
	Store func(ctx context.Context) (location string, err error)
}

// NextRevision returns a revision that a space gets after the given one. The step is random: after a failover that
// has lost commits, the space gets no revision that somebody remembers from before.
func NextRevision(revision int64) int64 {
	return revision + 1 + rand.Int64N(math.MaxInt32) //nolint:gosec // it keeps no secret
}

// seal holds the space until the transaction ends, stores the shard if may allows it, and then calls record. It
// returns ErrSpaceChanged if another shard was sealed since the revision.
func (r *Repository) seal(ctx context.Context, doing string, seal Seal, shard *Shard,
	may, record func(*core.Tx) error) error {
	err := r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		// This locks the space, and fails if another shard was sealed since the revision.
		hold := schema.NeedsChanged(sq.Update("spaces")).Set("revision", cmp.Or(seal.Next, seal.Revision+1)).
			Where(sq.Eq{"id": seal.Space, "revision": seal.Revision})
		err := tx.Later(ctx, hold, func(rows int64) error { return core.Affected(rows, ErrSpaceChanged) })
		if err != nil {
			return err
		}

		if err := may(tx); err != nil {
			return err
		}

		// Store nothing before the statements so far have succeeded.
		if err := tx.Flush(ctx); err != nil {
			return err
		}
		if seal.Store != nil {
			if shard.Location, err = seal.Store(ctx); err != nil {
				return &storeError{err}
			}
		}

		return record(tx)
	})
	var failed *storeError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: store it: %w", doing, failed.cause)
	}
	return err
}

// storeError hides an error of the store from the classification of database errors.
type storeError struct{ cause error }

func (e *storeError) Error() string { return e.cause.Error() }

// PackedShard is a shard whose bytes are ready for the store.
type PackedShard struct {
	Shard Shard
	// Digests are the digests of the planned chunks; see ShardDigests.
	Digests []byte
	Nodes   []Node
	// TakenOut are the entries whose content the shard does not hold because it could not be read as it was scanned.
	TakenOut []TakenOut
}

// TakenOut is an entry that could not be packed, with its new state, Changed or Failed, and the reason.
type TakenOut struct {
	Entry  int64
	State  EntryState
	Reason string
}

// SealShard records a claimed shard as packed, in one transaction: its digests, nodes, size and location, and the
// entries taken out. Everything planned for those entries is forgotten. With the upload's last shard its next stage
// begins.
//
// SealShard returns only the upload's key, state and tally. It returns ErrLeaseLost if another worker has the shard
// or another shard of the upload is to be sealed first, and ErrSpaceChanged if the blocks have to be looked up
// again.
func (r *Repository) SealShard(ctx context.Context, packed PackedShard, seal Seal) (after Upload, err error) {
	shard, digests, tally := packed.Shard, packed.Digests, make([]int64, len(standing))
	// Do not store what the nodes give.
	if toldByNodes(digests, packed.Nodes) {
		digests = nil
	}

	may := func(tx *core.Tx) error {
		mine := sq.Select("id").From("shards").Where(held(shard)).Where(sq.Eq{"state": ShardPlanned}).
			Suffix(r.db.RowLock)
		lost := func(rows int64) error { return leaseLost(rows, "shards", shard.ID) }
		if err := tx.LaterRead(ctx, make([]int64, 1), mine, lost); err != nil {
			return err
		}

		if err := r.takeOut(ctx, tx, shard.Upload, packed.TakenOut); err != nil {
			return err
		}

		// Only the next shard in order may be sealed.
		turn := countSettled(shard, r.countPacked(shard.ID)).Where(sq.Eq{"sealed": shard.Ordinal}).
			Suffix("RETURNING " + core.ColumnList(standingFields))
		return tx.LaterRead(ctx, tally, turn, lost)
	}

	err = r.seal(ctx, fmt.Sprintf("seal shard %d", shard.ID), seal, &shard, may, func(tx *core.Tx) error {
		if err := InsertNodes(ctx, tx, shard.ID, packed.Nodes); err != nil {
			return err
		}
		return tx.Later(ctx, schema.Settled(sq.Update("shards")).
			Set("state", shard.State).Set("size", shard.Size).Set("content", shard.Content).
			Set("nodes", len(packed.Nodes)).Set("digest", shard.Digest).
			Set("location", core.Nullable(shard.Location, "")).Set("piece", shard.Piece).Set("digests", digests).
			Where(held(shard)),
			nil)
	})
	return uploadOf(shard.Upload, tally), err
}

// standing are the columns that say how far an upload is. All are numbers.
var standing = slices.Concat([]string{"state"}, schema.TallyColumns, []string{"stage_bytes", "stage_began"})

// standingFields are what a SELECT reads of standing into numbers.
var standingFields = append(slices.Clone(standing[:len(standing)-1]), "COALESCE(stage_began, 0)")

// columnMapper finds the field of a struct that a column is read into, as sqlx does.
var columnMapper = reflectx.NewMapper("db")

// uploadOf returns an upload of which only the values of standing are known.
func uploadOf(id int64, values []int64) Upload {
	upload := Upload{ID: id}
	for i, column := range standing {
		field := columnMapper.FieldByName(reflect.ValueOf(&upload), column)
		if field.CanInt() {
			field.SetInt(values[i])
		} else {
			field.Set(reflect.ValueOf(Time{time.UnixMicro(values[i]).UTC()}))
		}
	}
	return upload
}

// countSettled counts a shard that is settled or set aside. If the shard was the next one to be sealed, the one
// behind it is now.
func countSettled(shard Shard, count sq.UpdateBuilder) sq.UpdateBuilder {
	behind := sq.Select("MIN(ordinal)").From("shards").Where(sq.Eq{"upload": shard.Upload,
		"state": ShardPlanned, "set_aside_at": nil}).Where(sq.Gt{"ordinal": shard.Ordinal})
	next := sq.ConcatExpr("CASE WHEN sealed = ", sq.Expr("?", shard.Ordinal), " THEN COALESCE((", behind,
		"), ", sq.Expr("?", shard.Ordinal+1), ") ELSE sealed END")
	return count.Set("sealed", next).Where(sq.Eq{"id": shard.Upload, "state": Packing})
}

// takeOut handles entries one by one: they are few, and each has its own reason. An entry that another shard has
// taken out already keeps the state and reason that it got there.
func (r *Repository) takeOut(ctx context.Context, tx *core.Tx, upload int64, entries []TakenOut) error {
	for _, out := range entries {
		of := sq.Eq{"entry": out.Entry}
		for _, statement := range []sq.Sqlizer{
			discount(upload, of),
			sq.Update("entries").Set("state", out.State).Set("reason", Text(out.Reason)).
				Where(sq.Eq{"id": out.Entry, "state": []EntryState{Ready, Rescanned}}),
			sq.Delete("segments").Where(of),
		} {
			if err := tx.Later(ctx, statement, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// discount is the update that takes segments that are about to be forgotten out of the counts.
func discount(upload int64, of sq.Sqlizer) sq.Sqlizer {
	segments := func(what string) sq.SelectBuilder { return sq.Select(what).From("segments").Where(of) }
	packed := core.Within("shard", sq.Select("id").From("shards").
		Where(sq.Eq{"upload": upload, "state": []ShardState{ShardPacked, ShardEmpty}}))
	begins, bytes := sq.Eq{"file_offset": 0}, "CAST(COALESCE(SUM(length), 0) AS BIGINT)"
	less := func(column string, query sq.SelectBuilder) sq.Sqlizer {
		return sq.ConcatExpr(column+" - (", query, ")")
	}

	return sq.Update("uploads").
		Set("planned_files", less("planned_files", segments("COUNT(*)").Where(begins))).
		Set("planned_bytes", less("planned_bytes", segments(bytes))).
		Set("packed_files", less("packed_files", segments("COUNT(*)").Where(begins).Where(packed))).
		Set("packed_bytes", less("packed_bytes", segments(bytes).Where(packed))).
		Where(sq.Eq{"id": upload})
}
