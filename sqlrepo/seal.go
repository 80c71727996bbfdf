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

// shards matches the shards in the scope that hold content.
func (s Scope) shards() sq.Sqlizer {
	uploads := sq.Select("uploads.id").From("uploads").Join("sources ON sources.id = uploads.source").
		Where(sq.Eq{"sources.space": s.Space})
	if s.Store != "" {
		uploads = uploads.Where(inStore("uploads.store", s.Store))
	}
	if s.Upload != 0 {
		uploads = uploads.Where(sq.Eq{"uploads.id": s.Upload})
	}
	return sq.And{sq.NotEq{"shards.state": ShardRemoving}, core.Within("shards.upload", uploads)}
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
	places, err := r.placesIn(ctx, within.shards(), digests)
	for _, place := range places {
		held[place.Digest] = struct{}{}
	}
	return err
}

// SpaceAt is a space at the revision of the Holdings whose blocks a shard leaves out.
type SpaceAt struct {
	Space, Revision int64
	// Next is the revision that the space gets; 0 means the one after Revision. See NextRevision.
	Next int64
}

// NextRevision returns a revision that a space gets after the given one. The step is random: after a failover that
// has lost commits, the space gets no revision that somebody remembers from before.
func NextRevision(revision int64) int64 {
	return revision + 1 + rand.Int64N(math.MaxInt32) //nolint:gosec // it keeps no secret
}

// Sealable is what a worker has finished and Seal records: a *PackedShard or a *LinkBatch.
type Sealable interface {
	String() string
	// hold makes the transaction fail with ErrLeaseLost if another worker has the work by now. Until the transaction
	// ends, no other worker gets it.
	hold(ctx context.Context, tx *core.Tx) error
	record(ctx context.Context, tx *core.Tx) error
}

// Seal makes a shard part of its space, in one transaction. Before it, the worker looks up which of the shard's
// blocks the space holds, leaves them out, and stages the rest at the store. The transaction then has these steps:
//
//   - hold the space at the revision of the look-up, and hold the work,
//   - publish the staged bytes under their name,
//   - record the shard with its nodes, and what else the work has.
//
// While publish runs, no other shard of the space can be sealed. If the transaction is retried, publish is called
// again and has nothing left to do. It may be nil if there is nothing to publish.
//
// Seal returns ErrSpaceChanged if another shard was sealed since the look-up, so that blocks have to be looked up
// again, and ErrLeaseLost if another worker has the work. It has not called publish then.
func (r *Repository) Seal(ctx context.Context, at SpaceAt, work Sealable,
	publish func(ctx context.Context) error) error {
	err := r.db.Transact(ctx, work.String(), func(tx *core.Tx) error {
		if err := holdSpace(ctx, tx, at); err != nil {
			return err
		}
		if err := work.hold(ctx, tx); err != nil {
			return err
		}

		// Publish nothing before the statements so far have succeeded.
		if err := tx.Flush(ctx); err != nil {
			return err
		}

		if publish != nil {
			if err := publish(ctx); err != nil {
				return &storeError{err}
			}
		}

		return work.record(ctx, tx)
	})
	return fromStore(work.String()+": store it", err)
}

// holdSpace keeps other shards of the space from being sealed until the transaction ends. It makes the transaction
// fail with ErrSpaceChanged if one was sealed since the revision.
func holdSpace(ctx context.Context, tx *core.Tx, at SpaceAt) error {
	raise := schema.NeedsChanged(sq.Update("spaces")).Set("revision", cmp.Or(at.Next, at.Revision+1)).
		Where(sq.Eq{"id": at.Space, "revision": at.Revision})
	return tx.Later(ctx, raise, func(rows int64) error { return core.Affected(rows, ErrSpaceChanged) })
}

// storeError hides an error of the store from the classification of database errors.
type storeError struct{ cause error }

func (e *storeError) Error() string { return e.cause.Error() }

// fromStore returns the store's own error if storeError hid one.
func fromStore(doing string, err error) error {
	var failed *storeError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", doing, failed.cause)
	}
	return err
}

// PackedShard is a claimed shard whose bytes are ready for the store. Sealing it records its digests, nodes and
// size, and the entries taken out: everything planned for those is forgotten. With the upload's last shard the
// next stage begins. A shard whose turn has not come can't be sealed (ErrLeaseLost).
type PackedShard struct {
	Shard Shard
	// Digests are the digests of the planned chunks; see ShardDigests.
	Digests []byte
	Nodes   []Node
	// TakenOut are the entries whose content the shard does not hold because it could not be read as it was scanned.
	TakenOut []TakenOut
	// After has the key, state and tally of the upload after sealing, and nothing else of it.
	After Upload

	// tally has the values of progressColumns.
	tally []int64
}

// TakenOut is an entry that could not be packed, with its new state, Changed or Failed, and the reason.
type TakenOut struct {
	Entry  int64
	State  EntryState
	Reason string
}

func (p *PackedShard) String() string { return fmt.Sprintf("seal shard %d", p.Shard.ID) }

// hold implements Sealable.
func (p *PackedShard) hold(ctx context.Context, tx *core.Tx) error {
	mine := sq.Select("id").From("shards").Where(held(p.Shard)).Where(sq.Eq{"state": ShardPlanned}).
		Suffix(tx.DB.RowLock)
	lost := func(rows int64) error { return leaseLost(rows, "shards", p.Shard.ID) }
	if err := tx.LaterRead(ctx, make([]int64, 1), mine, lost); err != nil {
		return err
	}

	if err := takeOut(ctx, tx, p.Shard.Upload, p.TakenOut); err != nil {
		return err
	}

	// Only the next shard in order may be sealed.
	p.tally = make([]int64, len(progressColumns))
	turn := countSettled(p.Shard, countPacked(tx.DB, p.Shard.ID)).Where(sq.Eq{"sealed": p.Shard.Ordinal}).
		Suffix("RETURNING " + core.ColumnList(progressFields))
	return tx.LaterRead(ctx, p.tally, turn, lost)
}

// record implements Sealable.
func (p *PackedShard) record(ctx context.Context, tx *core.Tx) error {
	p.After = uploadOf(p.Shard.Upload, p.tally)
	if err := InsertNodes(ctx, tx, p.Shard.ID, p.Nodes); err != nil {
		return err
	}

	// Do not store what the nodes give.
	digests := p.Digests
	if givenByNodes(digests, p.Nodes) {
		digests = nil
	}
	settle := schema.Settled(sq.Update("shards")).
		Set("state", p.Shard.State).Set("size", p.Shard.Size).Set("content", p.Shard.Content).
		Set("nodes", len(p.Nodes)).Set("digest", p.Shard.Digest).
		Set("piece", p.Shard.Piece).Set("digests", digests).Where(held(p.Shard))
	if p.Shard.State != ShardPacked {
		return tx.Later(ctx, settle, nil)
	}
	return sealing(p.Shard).Around(ctx, tx, func() error { return tx.Later(ctx, settle, nil) })
}

// progressColumns hold how far an upload is. All are numbers.
var progressColumns = slices.Concat([]string{"state"}, schema.TallyColumns, []string{"stage_bytes", "stage_began"})

// progressFields are the progressColumns as a SELECT reads them into numbers.
var progressFields = append(slices.Clone(progressColumns[:len(progressColumns)-1]), "COALESCE(stage_began, 0)")

// columnMapper finds the field of a struct that a column is read into, as sqlx does.
var columnMapper = reflectx.NewMapper("db")

// uploadOf returns an upload that has its key and the values of progressColumns, and nothing else.
func uploadOf(id int64, values []int64) Upload {
	upload := Upload{ID: id}
	for i, column := range progressColumns {
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
func takeOut(ctx context.Context, tx *core.Tx, upload int64, entries []TakenOut) error {
	for _, out := range entries {
		itsSegments := sq.Eq{"entry": out.Entry}
		for _, statement := range []sq.Sqlizer{
			discount(upload, itsSegments),
			sq.Update("entries").Set("state", out.State).Set("reason", Text(out.Reason)).
				Where(sq.Eq{"id": out.Entry, "state": []EntryState{Ready, Rescanned}}),
			sq.Delete("segments").Where(itsSegments),
		} {
			if err := tx.Later(ctx, statement, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// discount is the update that takes segments that are about to be forgotten out of the counts.
func discount(upload int64, forgotten sq.Sqlizer) sq.Sqlizer {
	segments := func(what string) sq.SelectBuilder { return sq.Select(what).From("segments").Where(forgotten) }
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
