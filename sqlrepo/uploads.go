package sqlrepo

import (
	"cmp"
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Upload is one snapshot of one source.
type Upload struct {
	ID     int64       `db:"id"`
	Source int64       `db:"source"`
	State  UploadState `db:"state"`
	// Profile is the recipe of the upload's CIDs.
	Profile   string `db:"profile"`
	ShardSize int64  `db:"shard_size"`
	SourceOptions
	// Store identifies the store that the upload's shards go to.
	Store string `db:"store"`
	// ScannedAgain is true if the source was, or is being, scanned a second time since the upload was opened. What
	// differs after that is Failed.
	ScannedAgain bool `db:"scanned_again"`
	// SkipFailed allows the upload to be completed without the entries that could not be prepared.
	SkipFailed bool `db:"skip_failed"`
	// IndexLayout is the layout of the upload's indexes, IndexSlices the most slices of one index.
	IndexLayout string `db:"index_layout"`
	IndexSlices int64  `db:"index_slices"`
	// PieceCID is true if the piece CIDs of the upload's shards are computed.
	PieceCID bool `db:"piece_cid"`
	Rereading
	Ends
	Counts
	RootCID    CID  `db:"root_cid"`
	StartedAt  Time `db:"started_at"`
	FinishedAt Time `db:"finished_at"`
	Tally
	// Lease is the lease on the stage that the upload has reached.
	Lease
}

// Ends says how runs end, those of the upload and later ones of its source.
type Ends struct {
	// Always is true if the upload is made even if nothing has changed since the one before.
	Always bool `db:"always"`
	// ConfirmedAt is when a run last found that nothing had changed since the upload, ConfirmedBy the key of the upload
	// that the run had begun and dropped.
	ConfirmedAt Time  `db:"confirmed_at"`
	ConfirmedBy int64 `db:"confirmed_by"`
	// StoppedAt is when a run last stopped with an error, StopReason why. Both are empty once the upload is complete, or
	// goes on well.
	StoppedAt  Time   `db:"stopped_at"`
	StopReason string `db:"stop_reason"`
}

// Counts are the numbers of entries under the root, and the total length of the files among them.
type Counts struct {
	Files       int64 `db:"files"`
	Directories int64 `db:"directories"`
	Symlinks    int64 `db:"links"`
	Bytes       int64 `db:"bytes"`
}

// Tally is what commits count. It shows how far an upload is without reading the upload's rows.
type Tally struct {
	// Found is how many entries have been scanned, Linked how many have a root of their own, and Shared how many
	// have the content and the root of an earlier one.
	Found  int64 `db:"found_entries"`
	Linked int64 `db:"linked_entries"`
	Shared int64 `db:"shared_entries"`
	// Planned is what the data shards are to hold, Packed what the settled ones hold. A file counts where it begins.
	PlannedFiles  int64 `db:"planned_files"`
	PlannedBytes  int64 `db:"planned_bytes"`
	PlannedShards int64 `db:"planned_shards"`
	PackedFiles   int64 `db:"packed_files"`
	PackedBytes   int64 `db:"packed_bytes"`
	SettledShards int64 `db:"settled_shards"`
	AsideShards   int64 `db:"aside_shards"`
	// Sealed is the ordinal of the first data shard that is neither settled nor set aside.
	Sealed int64 `db:"sealed"`
	// StageBegan is when the present stage began, StageBytes how many bytes were packed then.
	StageBegan Time  `db:"stage_began"`
	StageBytes int64 `db:"stage_bytes"`
}

// MaxBlocks returns the most blocks that a shard of the upload may have. An index has room for them, and for one
// slice that spans the whole shard.
func (u Upload) MaxBlocks() int64 {
	return max(1, cmp.Or(u.IndexSlices, DefaultIndexSlices)-1)
}

// Stage is the lease on the stage that an upload has reached. Writes under it fail with ErrLeaseLost once another
// worker has it.
type Stage struct{ Upload Upload }

// PreviousUpload returns the source's latest complete upload with the same profile and in the same store, whose
// content is not prepared again, or 0 if there is none.
func (r *Repository) PreviousUpload(ctx context.Context, u Upload) (id int64, err error) {
	query := sq.Select("COALESCE(MAX(id), 0)").From("uploads").
		Where(sq.Eq{"source": u.Source, "state": Complete, "profile": u.Profile})
	if u.Store != "" {
		query = query.Where(inStore("store", u.Store))
	}
	err = r.db.ReadOne(ctx, "look for the previous upload", &id, query)
	return id, err
}

// ClaimStage claims the stage that an upload has reached. It returns ErrNothingToClaim if another worker has it, or
// if there is no such stage: while shards are packed, and at the end.
func (r *Repository) ClaimStage(ctx context.Context, claim Claim, upload int64) (stage Stage, err error) {
	which := sq.And{sq.Eq{"id": upload, "state": exclusive}, r.claimable()}
	err = r.claim(ctx, fmt.Sprintf("claim upload %d", upload), "uploads", schema.UploadFields, claim, which, &stage.Upload)
	return stage, err
}

// ClaimRemoval claims the removal of a Removed upload. It returns ErrNothingToClaim if another worker has it or
// nothing is left of the upload.
func (r *Repository) ClaimRemoval(ctx context.Context, claim Claim, upload int64) (stage Stage, err error) {
	which := sq.And{sq.Eq{"id": upload, "state": Removed}, r.claimable()}
	doing := fmt.Sprintf("claim the removal of upload %d", upload)
	err = r.claim(ctx, doing, "uploads", schema.UploadFields, claim, which, &stage.Upload)
	return stage, err
}

// fenced runs fn in a transaction under the lease on a stage, and counts something of its upload. It returns
// ErrLeaseLost if another worker has the stage. No worker can claim the stage until the transaction ends.
func (r *Repository) fenced(ctx context.Context, doing string, stage Stage, count sq.UpdateBuilder,
	fn func(*core.Tx) error) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		if err := Fence(ctx, tx, stage, count); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Fence makes the transaction fail with ErrLeaseLost if another worker has the stage, and counts something of its
// upload.
func Fence(ctx context.Context, tx *core.Tx, stage Stage, count sq.UpdateBuilder) error {
	return tx.Later(ctx, count.Where(held(stage)), func(rows int64) error {
		return leaseLost(rows, "uploads", stage.Upload.ID)
	})
}

// counting is the update that adds to a column of an upload's tally.
func counting(column string, n int64) sq.UpdateBuilder {
	return sq.Update("uploads").Set(column, sq.Expr(column+" + ?", n))
}

// Upload returns the upload with this key, or ErrNotFound.
func (r *Repository) Upload(ctx context.Context, id int64) (upload Upload, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("upload %d", id), &upload,
		sq.Select(schema.UploadFields...).From("uploads").Where(sq.Eq{"id": id}))
	return upload, err
}

// UploadFilter narrows a list of uploads; nil means all.
type UploadFilter struct {
	Space, Source *int64
}

// Uploads lists uploads by key.
func (r *Repository) Uploads(ctx context.Context, filter UploadFilter) (uploads []Upload, err error) {
	query := sq.Select(schema.UploadFields...).From("uploads").OrderBy("id")
	if filter.Source != nil {
		query = query.Where(sq.Eq{"source": *filter.Source})
	}
	if filter.Space != nil {
		query = query.Where(schema.InSpace(*filter.Space))
	}

	err = r.db.ReadAll(ctx, "list uploads", &uploads, query)
	return uploads, err
}

// LatestUpload returns the key of the latest complete upload of a space, or ErrNotFound.
func (r *Repository) LatestUpload(ctx context.Context, space int64) (id int64, err error) {
	err = r.db.ReadOne(ctx, "look for the latest upload", &id, sq.Select("id").From("uploads").
		Where(sq.Eq{"state": Complete}).Where(schema.InSpace(space)).OrderBy("id DESC").Limit(1))
	return id, err
}

// HadUploads reports whether the repository has ever had an upload, even if all were removed since.
func (r *Repository) HadUploads(ctx context.Context) (had bool, err error) {
	var numbered int64
	err = r.db.ReadOne(ctx, "look at the number of uploads", &numbered,
		sq.Select("COALESCE(MAX(value), 0)").From("counters").Where(sq.Eq{"name": "uploads"}))
	return numbered > 0, err
}

// SpaceOf returns the key of an upload's space.
func (r *Repository) SpaceOf(ctx context.Context, upload int64) (space int64, err error) {
	err = r.db.ReadOne(ctx, "space of an upload", &space,
		sq.Select("space").From("sources").
			Join("uploads ON uploads.source = sources.id").Where(sq.Eq{"uploads.id": upload}))
	return space, err
}

// UploadState returns the state of an upload, whatever else is in its row, or ErrNotFound.
func (r *Repository) UploadState(ctx context.Context, upload int64) (state UploadState, err error) {
	err = r.db.ReadOne(ctx, "state of the upload", &state,
		sq.Select("state").From("uploads").Where(sq.Eq{"id": upload}))
	return state, err
}
