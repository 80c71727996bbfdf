package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Holdings are those of some blocks that a space holds, and what revision the space had before they were looked up.
type Holdings struct {
	Revision int64
	Digests  map[Digest]struct{}
}

// Held looks up which of some blocks are in packed shards of a space.
func (r *Repository) Held(ctx context.Context, space int64, digests []Digest) (held Holdings, err error) {
	err = r.read(ctx, "look up blocks", func() error {
		held = Holdings{Digests: map[Digest]struct{}{}}
		revision := squirrel.Select("revision").From("spaces").Where(squirrel.Eq{"id": space})
		if err := r.get(ctx, r.db.Reader, &held.Revision, revision); err != nil || held.Revision == 0 {
			return err
		}
		return r.lookUp(ctx, space, digests, held.Digests)
	})
	return held, err
}

// HeldAt is Held for who knows the revision that the space has: that before its last shard was sealed, and one more. If
// another shard was sealed since, sealing fails with ErrSpaceChanged.
func (r *Repository) HeldAt(ctx context.Context, space, revision int64, digests []Digest) (held Holdings, err error) {
	err = r.read(ctx, "look up blocks", func() error {
		held = Holdings{Revision: revision, Digests: map[Digest]struct{}{}}
		return r.lookUp(ctx, space, digests, held.Digests)
	})
	return held, err
}

func (r *Repository) lookUp(ctx context.Context, space int64, digests []Digest, held map[Digest]struct{}) error {
	wanted, prefixes := make(map[Digest]struct{}, len(digests)), make([]int64, len(digests))
	for i := range digests {
		wanted[digests[i]] = struct{}{}
		prefixes[i], _ = digests[i].split()
	}
	query := r.db.Probe(squirrel.Select("nodes.prefix", "nodes.suffix"), "nodes", "prefix", prefixes).
		CrossJoin("shards").CrossJoin("uploads").CrossJoin("sources").
		Where("shards.id = nodes.shard AND uploads.id = shards.upload AND sources.id = uploads.source").
		Where(squirrel.Eq{"sources.space": space})
	var rows []struct {
		Prefix int64  `db:"prefix"`
		Suffix []byte `db:"suffix"`
	}
	if err := r.list(ctx, r.db.Reader, &rows, query); err != nil {
		return err
	}
	for _, row := range rows {
		digest, err := joinDigest(row.Prefix, row.Suffix)
		if err != nil {
			return err
		}
		if _, ok := wanted[digest]; ok {
			held[digest] = struct{}{}
		}
	}
	return nil
}

// Seal is what it takes to add a shard to a space in which each block is stored once.
type Seal struct {
	Space int64
	// Revision is that of the Holdings without which the shard was made.
	Revision int64
	// Store makes the shard's bytes durable and says where they are, "" for an empty shard. It is called while no other
	// shard of the space can be sealed, and again when the transaction is: the second time it has nothing to do.
	Store func(ctx context.Context) (location string, err error)
}

// seal holds the space until the transaction ends, and then has the shard stored if record finds that it may be. It
// returns ErrSpaceChanged when another shard was sealed since the revision.
func (r *Repository) seal(ctx context.Context, doing string, seal Seal, shard *Shard,
	may, record func(*dialect.Tx) error) error {
	err := r.withTx(ctx, doing, func(tx *dialect.Tx) error {
		rows, err := r.exec(ctx, tx, squirrel.Update("spaces").Set("revision", squirrel.Expr("revision + 1")).
			Where(squirrel.Eq{"id": seal.Space, "revision": seal.Revision}))
		if err != nil {
			return err
		}
		if err := affected(rows, ErrSpaceChanged); err != nil {
			return err
		}
		if err := may(tx); err != nil {
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

// storeError hides what the store says from the question whether the database has failed.
type storeError struct{ cause error }

func (e *storeError) Error() string { return e.cause.Error() }

// PackedShard is a shard whose bytes are ready for the store.
type PackedShard struct {
	Shard Shard
	// Digests are those of the planned chunks; see ShardDigests.
	Digests []byte
	Nodes   []Node
	// TakenOut are the entries whose content the shard does not hold, because it could not be read as it was scanned.
	TakenOut []TakenOut
}

// TakenOut is an entry that could not be packed, with its new state, Changed or Failed, and the reason.
type TakenOut struct {
	Entry  int64
	State  EntryState
	Reason string
}

// SealShard records a claimed shard as packed, in one transaction: its digests, nodes, size and place, and what was taken
// out. All that was planned of the entries taken out is forgotten. With the upload's last shard its next stage begins. It
// returns the upload's tally and state, ErrLeaseLost when somebody else has the shard or another one of the upload is to
// be sealed first, and ErrSpaceChanged when the blocks have to be looked up again.
func (r *Repository) SealShard(ctx context.Context, packed PackedShard, seal Seal) (after Upload, err error) {
	shard, digests := packed.Shard, packed.Digests
	if toldByNodes(digests, packed.Nodes) {
		digests = nil
	}
	may := func(tx *dialect.Tx) error {
		if err := r.takeOut(ctx, tx, shard.Upload, packed.TakenOut); err != nil {
			return err
		}
		mine := squirrel.Select("1").From("shards").Where(held(shard)).Where(squirrel.Eq{"state": ShardPlanned})
		count := countPacked(shard.ID).Where(squirrel.ConcatExpr("EXISTS (", mine, ")"))
		return r.countSettled(ctx, tx, shard, count, &after)
	}
	err = r.seal(ctx, fmt.Sprintf("seal shard %d", shard.ID), seal, &shard, may, func(tx *dialect.Tx) error {
		rows, err := r.exec(ctx, tx, settled(squirrel.Update("shards")).
			Set("state", shard.State).Set("size", shard.Size).Set("content", shard.Content).
			Set("nodes", len(packed.Nodes)).Set("digest", shard.Digest).
			Set("location", nullable(shard.Location, "")).Set("digests", digests).
			Where(held(shard)).Where(squirrel.Eq{"state": ShardPlanned}))
		if err != nil {
			return err
		}
		if err := leaseLost(rows, "shards", shard.ID); err != nil {
			return err
		}
		return r.insertNodes(ctx, tx, shard.ID, packed.Nodes)
	})
	return after, err
}

// countPacked counts what a shard holds as packed.
func countPacked(shard int64) squirrel.UpdateBuilder {
	segments := func(what string) squirrel.SelectBuilder {
		return squirrel.Select(what).From("segments").Where(squirrel.Eq{"shard": shard})
	}
	return squirrel.Update("uploads").
		Set("packed_files", squirrel.ConcatExpr("packed_files + (", segments("COUNT(*)").Where(squirrel.Eq{"file_offset": 0}), ")")).
		Set("packed_bytes", squirrel.ConcatExpr("packed_bytes + (", segments("CAST(COALESCE(SUM(length), 0) AS BIGINT)"), ")")).
		Set("settled_shards", squirrel.Expr("settled_shards + 1")).
		Set("state", squirrel.Expr("CASE WHEN settled_shards + 1 = planned_shards THEN ? ELSE state END", int64(Rescanning)))
}

// countSettled counts a shard that is done with, or set aside. If it was the next one to be sealed, the one behind it is
// now; a shard that is sealed out of turn gives ErrLeaseLost.
func (r *Repository) countSettled(ctx context.Context, tx *dialect.Tx, shard Shard, count squirrel.UpdateBuilder,
	after *Upload) error {
	behind := squirrel.Select("MIN(ordinal)").From("shards").Where(squirrel.Eq{"upload": shard.Upload,
		"state": ShardPlanned, "set_aside_at": nil}).Where(squirrel.Gt{"ordinal": shard.Ordinal})
	next := squirrel.ConcatExpr("CASE WHEN sealed = ", squirrel.Expr("?", shard.Ordinal), " THEN COALESCE((", behind,
		"), ", squirrel.Expr("?", shard.Ordinal+1), ") ELSE sealed END")
	count = count.Set("sealed", next).Where(squirrel.Eq{"id": shard.Upload, "state": Packing})
	if after == nil {
		_, err := r.exec(ctx, tx, count)
		return err
	}
	err := r.get(ctx, tx, after, count.Where(squirrel.Eq{"sealed": shard.Ordinal}).
		Suffix("RETURNING "+columnList(uploadFields)))
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("shard %d: %w", shard.ID, ErrLeaseLost)
	}
	return err
}

// takeOut goes entry by entry: they are few, and each has its own reason. An entry that another shard has taken out
// already keeps the state and reason that it was given there.
func (r *Repository) takeOut(ctx context.Context, tx *dialect.Tx, upload int64, entries []TakenOut) error {
	for _, out := range entries {
		of := squirrel.Eq{"entry": out.Entry}
		for _, statement := range []squirrel.Sqlizer{
			discount(upload, of),
			squirrel.Update("entries").Set("state", out.State).Set("reason", Text(out.Reason)).
				Where(squirrel.Eq{"id": out.Entry, "state": []EntryState{Ready, Rescanned}}),
			squirrel.Delete("segments").Where(of),
		} {
			if _, err := r.exec(ctx, tx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// discount takes back what was counted of segments that are about to be forgotten.
func discount(upload int64, of squirrel.Sqlizer) squirrel.Sqlizer {
	segments := func(what string) squirrel.SelectBuilder { return squirrel.Select(what).From("segments").Where(of) }
	packed := within("shard", squirrel.Select("id").From("shards").
		Where(squirrel.Eq{"upload": upload, "state": []ShardState{ShardPacked, ShardEmpty}}))
	begins, bytes := squirrel.Eq{"file_offset": 0}, "CAST(COALESCE(SUM(length), 0) AS BIGINT)"
	less := func(column string, query squirrel.SelectBuilder) squirrel.Sqlizer {
		return squirrel.ConcatExpr(column+" - (", query, ")")
	}
	return squirrel.Update("uploads").
		Set("planned_files", less("planned_files", segments("COUNT(*)").Where(begins))).
		Set("planned_bytes", less("planned_bytes", segments(bytes))).
		Set("packed_files", less("packed_files", segments("COUNT(*)").Where(begins).Where(packed))).
		Set("packed_bytes", less("packed_bytes", segments(bytes).Where(packed))).
		Where(squirrel.Eq{"id": upload})
}
