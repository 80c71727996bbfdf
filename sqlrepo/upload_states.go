package sqlrepo

import (
	"cmp"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// UploadState is the stage that an upload has reached. The values are stored.
type UploadState int16

// The states of uploads.
const (
	Scanning UploadState = iota + 1
	Planning
	Packing
	Linking
	Complete
	// Rescanning looks at the source once more, as a whole: what has changed during the run is scanned again, once.
	Rescanning
	// Incomplete uploads have entries that could not be prepared. Opening such an upload again tries once more.
	Incomplete
	// Removed uploads are gone for everybody, except for what others share of them and what is still to be deleted.
	Removed
	// Indexing uploads have their root. What is left is to index where their blocks lie.
	Indexing
)

// firstState is the state of a new upload.
const firstState = Scanning

// successors are the states that may follow a state while workers take an upload on:
//
//	Scanning -> Planning -> Packing -> Rescanning -> Linking -> Indexing -> Complete
//	                |                  ^   |   |        |
//	                +------------------+   |   +--------+-----> Incomplete
//	   ^                                   |
//	   +-----------------------------------+
//
// Planning is followed by Rescanning where nothing is left to pack. Rescanning is followed by Scanning, at most once in
// a run, if the source has changed. A scan that finds nothing changed since the latest complete upload makes the upload
// Removed (see ConfirmUnchanged). Apart from workers, three things change a state: opening an upload that has not ended
// well takes it back to Scanning (see reopened), removing one makes it Removed for good (see SetRemoved), and a
// repair sets the state that its rows deserve (see SetUnfinished and SetDeserved).
var successors = map[UploadState][]UploadState{
	Scanning:   {Planning},
	Planning:   {Packing, Rescanning},
	Packing:    {Rescanning},
	Rescanning: {Scanning, Linking, Incomplete},
	Linking:    {Indexing, Incomplete},
	Indexing:   {Complete},
}

var (
	// exclusive are the states in which one worker at a time has an upload. Packing is shared, shard by shard.
	exclusive = []UploadState{Scanning, Planning, Rescanning, Linking, Indexing}
	// RootedStates are the states of uploads that have a root.
	RootedStates = []UploadState{Indexing, Complete}
	// ClosedStates are the states of uploads that cannot be opened again.
	ClosedStates = []UploadState{Complete, Removed}
)

func (s UploadState) String() string {
	switch s {
	case Scanning:
		return "scanning"
	case Planning:
		return "planning"
	case Packing:
		return "packing"
	case Linking:
		return "linking"
	case Complete:
		return "complete"
	case Rescanning:
		return "rescanning"
	case Incomplete:
		return "incomplete"
	case Removed:
		return "removed"
	case Indexing:
		return "indexing"
	}
	return "unknown"
}

// Rooted reports whether the upload is linked and so has a root.
func (u Upload) Rooted() bool { return slices.Contains(RootedStates, u.State) }

// Stuck reports whether the rest of the upload was set aside. No worker works on it until it is opened again.
func (u Upload) Stuck() bool {
	return !u.SetAside.IsZero() ||
		u.State == Packing && u.AsideShards > 0 && u.SettledShards+u.AsideShards == u.PlannedShards
}

// Ended reports whether no work is left for the upload, unless it is opened again.
func (u Upload) Ended() bool { return u.Closed() || u.State == Incomplete || u.Stuck() }

// Closed reports whether the upload cannot be opened again.
func (u Upload) Closed() bool { return slices.Contains(ClosedStates, u.State) }

// checkAdvance returns ErrState unless the next state may follow the state of the stage. Advance enters no state
// that promises a root: BeginIndexing records the root, and CompleteUpload proves what it claims.
func checkAdvance(stage Stage, next UploadState) error {
	if slices.Contains(successors[stage.Upload.State], next) && !slices.Contains(RootedStates, next) {
		return nil
	}

	return fmt.Errorf("upload %d: %w: %s does not follow %s", stage.Upload.ID, ErrState, next, stage.Upload.State)
}

// entered is the update that takes the upload of a stage from one state to the next, under the lease of the stage.
// Earlier failures are forgotten.
func (r *Repository) entered(stage Stage, from UploadState, next any) sq.UpdateBuilder {
	return sq.Update("uploads").Set("state", next).
		Set("attempts", 0).Set("retry_at", nil).Set("error", nil).Set("stage_began", r.db.At(0)).
		Set("stopped_at", nil).Set("stop_reason", nil).
		Where(held(stage)).Where(sq.Eq{"state": from})
}

// advanced is the update that ends a stage. The lease stays for the next one, except that shards are packed by all, and
// that nothing is left to do for an Incomplete upload. What a scan has changed is to be counted again besides.
func (r *Repository) advanced(stage Stage, next UploadState) sq.UpdateBuilder {
	var state any = next
	// If nothing is left to pack, the upload goes straight on to Rescanning.
	if next == Packing {
		state = sq.Expr("CASE WHEN settled_shards = planned_shards THEN CAST(? AS SMALLINT) ELSE ? END",
			int64(Rescanning), int64(Packing))
	}
	update := r.entered(stage, stage.Upload.State, state)

	switch next {
	case Packing, Incomplete:
		update = schema.Free(update)
	case Scanning:
		update = update.Set("scanned_again", 1).Set("progress", 0)
	default:
		update = update.Set("progress", 0)
	}

	if stage.Upload.State == Scanning {
		return update
	}
	return update.Set("stage_bytes", sq.Expr("packed_bytes"))
}

// linked is the update that records the root of an upload, and what is under it. The lease stays for its indexes.
func (r *Repository) linked(stage Stage, root CID, counts Counts, layout string) sq.UpdateBuilder {
	return r.entered(stage, Linking, Indexing).Set("root_cid", root).Set("index_layout", layout).
		Set("files", counts.Files).Set("directories", counts.Directories).Set("links", counts.Symlinks).
		Set("bytes", counts.Bytes).Set("progress", 0).Set("stage_bytes", sq.Expr("packed_bytes"))
}

// completed is the update that completes an indexed upload. Its caller proves in the same transaction that every
// entry is linked or left out.
func completed(at Time) sq.UpdateBuilder {
	return schema.Settled(sq.Update("uploads")).Set("state", Complete).Set("finished_at", at).
		Set("stopped_at", nil).Set("stop_reason", nil).
		Where(sq.Eq{"state": Indexing})
}

// countPacked is the update that counts what a shard holds as packed. After its last shard the upload is
// Rescanning. countPacked is for countSettled, which requires that the upload is Packing.
func countPacked(db *core.DB, shard int64) sq.UpdateBuilder {
	segments := func(what string) sq.SelectBuilder {
		return sq.Select(what).From("segments").Where(sq.Eq{"shard": shard})
	}
	const last = "settled_shards + 1 = planned_shards"
	next := sq.Expr("CASE WHEN "+last+" THEN ? ELSE state END", int64(Rescanning))
	files := segments("COUNT(*)").Where(sq.Eq{"file_offset": 0})
	bytes := sq.ConcatExpr("packed_bytes + (", segments("CAST(COALESCE(SUM(length), 0) AS BIGINT)"), ")")

	return sq.Update("uploads").Set("state", next).
		Set("stage_began", sq.ConcatExpr("CASE WHEN "+last+" THEN ", db.At(0), " ELSE stage_began END")).
		Set("stage_bytes", sq.ConcatExpr("CASE WHEN "+last+" THEN ", bytes, " ELSE stage_bytes END")).
		Set("packed_files", sq.ConcatExpr("packed_files + (", files, ")")).Set("packed_bytes", bytes).
		Set("settled_shards", sq.Expr("settled_shards + 1")).
		Set("stopped_at", nil).Set("stop_reason", nil)
}

// reopened is the update that takes an upload back to its scan with the recipe that it is opened with. It applies
// only if the upload is as it was read: the upload may have been claimed, or completed, since. All leases on it
// end.
func (r *Repository) reopened(u, fresh Upload) sq.UpdateBuilder {
	return schema.Settled(sq.Update("uploads")).Set("state", Scanning).
		Set("set_aside_at", nil).Set("aside_shards", 0).Set("scanned_again", 0).Set("stage_began", r.db.At(0)).
		Set("profile", fresh.Profile).Set("shard_size", fresh.ShardSize).
		Set("excludes", fresh.Excludes).Set("symlinks", fresh.SymlinkPolicy).
		Set("store", core.Nullable(fresh.Store, "")).Set("skip_failed", core.Number(fresh.SkipFailed)).
		Set("index_layout", cmp.Or(fresh.IndexLayout, DefaultIndexLayout)).
		Set("index_slices", cmp.Or(fresh.IndexSlices, DefaultIndexSlices)).Set("piece_cid", core.Number(fresh.PieceCID)).
		Set("reread", core.Number(u.Reread || fresh.Reread)).Set("always", core.Number(u.Always || fresh.Always)).
		Set("ignore_inode", core.Number(fresh.IgnoreInode)).
		Set("ignore_ctime", core.Number(fresh.IgnoreCtime)).Set("mtime_window", fresh.MtimeWindow).
		Set("root_cid", nil).Set("files", 0).Set("directories", 0).Set("links", 0).Set("bytes", 0).
		Where(sq.Eq{"id": u.ID, "state": u.State, "token": u.Token}).Where(sq.NotEq{"state": ClosedStates})
}

// SetRemoved returns the update that removes an upload, whatever its state.
func SetRemoved(upload int64) sq.UpdateBuilder {
	return schema.Settled(sq.Update("uploads")).Set("state", Removed).Set("set_aside_at", nil).Set("aside_shards", 0).
		Set("stopped_at", nil).Set("stop_reason", nil).
		Where(sq.Eq{"id": upload}).Where(sq.NotEq{"state": Removed})
}

// unchanged is the update that removes an upload which came to the same as an earlier one. The lease stays for the
// removal of its rows.
func unchanged(stage Stage) sq.UpdateBuilder {
	return sq.Update("uploads").Set("state", Removed).Set("attempts", 0).Set("retry_at", nil).Set("error", nil).
		Set("stopped_at", nil).Set("stop_reason", nil).
		Where(held(stage)).Where(sq.Eq{"state": Scanning})
}

// SetUnfinished returns the update by which a repair takes an upload's root away, unless it was removed.
func SetUnfinished(upload int64, state UploadState) sq.UpdateBuilder {
	return schema.Settled(sq.Update("uploads")).Set("state", state).Set("root_cid", nil).Set("finished_at", nil).
		Set("files", 0).Set("directories", 0).Set("links", 0).Set("bytes", 0).
		Where(sq.Eq{"id": upload}).Where(sq.NotEq{"state": Removed})
}

// SetDeserved returns the updates by which a repair makes the state of an upload match its root. An upload that has a
// root is complete, unless entries of it could not be prepared. One that lacks a root that its state promises is
// linked again, and one in an unknown state is scanned again.
func SetDeserved(upload int64, now Time) []sq.Sqlizer {
	this, rooted := sq.Eq{"id": upload}, sq.Expr("root_cid IS NOT NULL AND LENGTH(root_cid) = ?", schema.CIDLength)
	unknown := sq.Expr("state NOT BETWEEN ? AND ?", int64(Scanning), int64(Indexing))
	unready := sq.Select("1").From("entries").Where("entries.upload = uploads.id AND entries.state <> 0").
		Where(sq.Or{sq.Eq{"entries.state": Changed}, sq.And{
			sq.Eq{"entries.state": []EntryState{Failed, Unreachable}}, sq.ConcatExpr("NOT ", skipping)}})

	return []sq.Sqlizer{
		schema.Settled(sq.Update("uploads")).Set("state", Complete).
			Set("finished_at", sq.Expr("COALESCE(finished_at, ?)", now)).Where(this).Where(rooted).
			Where(sq.NotEq{"state": Removed}).Where(sq.ConcatExpr("NOT EXISTS (", unready, ")")),
		schema.Free(sq.Update("uploads")).Set("state", Linking).Where(this).Where(sq.Eq{"state": RootedStates}).
			Where(sq.ConcatExpr("NOT (", rooted, ")")),
		schema.Free(sq.Update("uploads")).Set("state", Scanning).Where(this).Where(unknown),
	}
}
