package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// PackSegment is a segment with what it takes to read it and to tell whether its file changed.
type PackSegment struct {
	Segment
	Path Path      `db:"path"`
	Kind EntryKind `db:"kind"`
	// Size is the length of the whole file, ModTime its modification in nanoseconds since 1970.
	Size    int64      `db:"size"`
	ModTime int64      `db:"mtime_ns"`
	State   EntryState `db:"state"`
}

// ErrNothingToClaim is returned when no work of the kind asked for is left.
var ErrNothingToClaim = errors.New("nothing to claim")

// ClaimShard takes the first shard of the run's upload that waits to be packed, with its segments in order. It returns
// ErrNothingToClaim when none is left.
func (r *Repository) ClaimShard(ctx context.Context, run Run) (shard Shard, err error) {
	waiting := squirrel.And{
		squirrel.Eq{"upload": run.Upload.ID},
		squirrel.Or{
			squirrel.Eq{"state": ShardPlanned},
			squirrel.And{squirrel.Eq{"state": ShardPacking}, squirrel.NotEq{"token": run.Upload.Token}},
		},
	}
	first := squirrel.Select("id").From("shards").Where(waiting).OrderBy("ordinal").Limit(1).Suffix(r.db.ClaimLock)
	err = r.fenced(ctx, "claim a shard", run, func(tx *dialect.Tx) error {
		var id int64
		if err := r.get(ctx, tx, &id, first); err != nil {
			return err
		}
		_, err := r.exec(ctx, tx, squirrel.Update("shards").Set("state", ShardPacking).
			Set("token", run.Upload.Token).Where(squirrel.Eq{"id": id}))
		if err != nil {
			return err
		}
		return r.get(ctx, tx, &shard, squirrel.Select(shardFields...).From("shards").Where(squirrel.Eq{"id": id}))
	})
	if errors.Is(err, ErrNotFound) {
		return Shard{}, ErrNothingToClaim
	}
	return shard, err
}

// ShardSegments yields what a shard is to hold, in order.
func (r *Repository) ShardSegments(ctx context.Context, shard int64) iter.Seq2[PackSegment, error] {
	fields := append([]string{"path", "kind", "size", "mtime_ns", "state"}, segmentColumns...)
	query := squirrel.Select(fields...).From("segments").Join("entries ON entries.id = segments.entry").
		Where(squirrel.Eq{"shard": shard}).OrderBy("chunk")
	behind := func(last PackSegment) squirrel.Sqlizer { return squirrel.Gt{"chunk": last.Chunk} }
	return pages(query, behind, func(page *[]PackSegment, query squirrel.SelectBuilder) error {
		return r.readList(ctx, fmt.Sprintf("segments of shard %d", shard), page, query)
	})
}

// PackedShard is a shard whose bytes are in the store.
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

// SavePacked records a packed shard in one transaction: its digests, nodes, size and place, and what was taken out. All
// that was planned of the entries taken out is forgotten. It returns ErrLeaseLost when the shard is not the run's.
func (r *Repository) SavePacked(ctx context.Context, run Run, packed PackedShard) error {
	shard, digests := packed.Shard, packed.Digests
	if toldByNodes(digests, packed.Nodes) {
		digests = nil
	}
	return r.fenced(ctx, fmt.Sprintf("record shard %d", shard.ID), run, func(tx *dialect.Tx) error {
		rows, err := r.exec(ctx, tx, squirrel.Update("shards").
			Set("state", shard.State).Set("size", shard.Size).Set("content", shard.Content).
			Set("nodes", len(packed.Nodes)).Set("digest", shard.Digest).
			Set("location", nullable(shard.Location, "")).Set("digests", digests).
			Where(squirrel.Eq{"id": shard.ID, "state": ShardPacking, "token": run.Upload.Token}))
		if err != nil {
			return err
		}
		if err := affected(rows, ErrLeaseLost); err != nil {
			return err
		}
		if err := r.takeOut(ctx, tx, packed.TakenOut); err != nil {
			return err
		}
		return r.insertNodes(ctx, tx, shard.ID, packed.Nodes)
	})
}

// takeOut goes entry by entry: they are few, and each has its own reason. An entry that another shard has taken out
// already keeps the state and reason that it was given there.
func (r *Repository) takeOut(ctx context.Context, tx *dialect.Tx, entries []TakenOut) error {
	for _, out := range entries {
		_, err := r.exec(ctx, tx, squirrel.Update("entries").Set("state", out.State).Set("reason", Text(out.Reason)).
			Where(squirrel.Eq{"id": out.Entry, "state": []EntryState{Ready, Rescanned}}))
		if err != nil {
			return err
		}
		if _, err := r.exec(ctx, tx, squirrel.Delete("segments").Where(squirrel.Eq{"entry": out.Entry})); err != nil {
			return err
		}
	}
	return nil
}
