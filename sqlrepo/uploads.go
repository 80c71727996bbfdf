package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
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
	}
	return "unknown"
}

// Upload is one snapshot of one source.
type Upload struct {
	ID     int64       `db:"id"`
	Source int64       `db:"source"`
	State  UploadState `db:"state"`
	// Profile is the recipe of its CIDs.
	Profile   string `db:"profile"`
	ShardSize int64  `db:"shard_size"`
	SourceOptions
	// Token fences the run that works on the upload: it grows with each run.
	Token int64 `db:"token"`
	Counts
	RootCID    CID  `db:"root_cid"`
	StartedAt  Time `db:"started_at"`
	FinishedAt Time `db:"finished_at"`
}

// Counts are the entries under the root and the length of the files among them.
type Counts struct {
	Files       int64 `db:"files"`
	Directories int64 `db:"directories"`
	Symlinks    int64 `db:"links"`
	Bytes       int64 `db:"bytes"`
}

var uploadColumns = []string{"id", "source", "state", "profile", "shard_size", "excludes", "symlinks", "token", "files",
	"directories", "links", "bytes", "root_cid", "started_at", "finished_at"}

// Run is the right to work on an upload. All that is written in its name fails with ErrLeaseLost once another run has
// begun.
type Run struct {
	Upload Upload
	// Resumed tells that an earlier run left the upload unfinished.
	Resumed bool
	// Previous is the source's latest complete upload of the same profile, whose content is not prepared again; 0 when
	// there is none.
	Previous int64
}

// BeginRun starts a run on the source's unfinished upload, or on a new one if there is none, with the given profile, shard
// size and options. It returns ErrRecipe for an unfinished upload that can't change over to these: what is packed keeps
// its profile, and what is planned must fit the shard size.
func (r *Repository) BeginRun(ctx context.Context, source int64, fresh Upload) (run Run, err error) {
	err = r.withTx(ctx, "begin the upload", func(tx *dialect.Tx) error {
		unfinished, err := r.unfinished(ctx, tx, source)
		switch {
		case errors.Is(err, ErrNotFound):
			run = Run{Upload: fresh}
			if err := r.addUpload(ctx, tx, source, &run.Upload); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			run = Run{Upload: unfinished, Resumed: true}
			if err := r.resumeUpload(ctx, tx, &run.Upload, fresh); err != nil {
				return err
			}
		}
		run.Previous, err = r.previous(ctx, tx, run.Upload)
		return err
	})
	return run, err
}

// UnfinishedUpload returns the source's upload that is not complete, or ErrNotFound.
func (r *Repository) UnfinishedUpload(ctx context.Context, source int64) (upload Upload, err error) {
	err = r.read(ctx, "look for an unfinished upload", func() (err error) {
		upload, err = r.unfinished(ctx, r.db.Reader, source)
		return err
	})
	return upload, err
}

func (r *Repository) unfinished(ctx context.Context, q queryer, source int64) (upload Upload, err error) {
	err = r.get(ctx, q, &upload, squirrel.Select(uploadColumns...).From("uploads").
		Where(squirrel.Eq{"source": source}).Where(squirrel.Lt{"state": Complete}).OrderBy("id DESC").Limit(1))
	return upload, err
}

func (r *Repository) addUpload(ctx context.Context, tx *dialect.Tx, source int64, u *Upload) (err error) {
	if u.ID, err = r.nextIDs(ctx, tx, "uploads", 1); err != nil {
		return err
	}
	u.Source, u.State, u.Token, u.StartedAt = source, Scanning, 1, NewTime(r.now())
	_, err = r.exec(ctx, tx, squirrel.Insert("uploads").Columns(uploadColumns...).Values(u.ID, u.Source, u.State,
		u.Profile, u.ShardSize, u.Excludes, u.SymlinkPolicy, u.Token, u.Files, u.Directories, u.Symlinks, u.Bytes,
		u.RootCID, u.StartedAt, u.FinishedAt))
	return err
}

func (r *Repository) resumeUpload(ctx context.Context, tx *dialect.Tx, u *Upload, fresh Upload) error {
	if err := r.checkRecipe(ctx, tx, *u, fresh); err != nil {
		return err
	}
	rows, err := r.exec(ctx, tx, squirrel.Update("uploads").
		Set("token", u.Token+1).Set("state", Scanning).Set("profile", fresh.Profile).Set("shard_size", fresh.ShardSize).
		Set("excludes", fresh.Excludes).Set("symlinks", fresh.SymlinkPolicy).
		Where(squirrel.Eq{"id": u.ID, "token": u.Token}))
	if err != nil {
		return err
	}
	u.Token, u.State = u.Token+1, Scanning
	u.Profile, u.ShardSize, u.SourceOptions = fresh.Profile, fresh.ShardSize, fresh.SourceOptions
	return affected(rows, ErrLeaseLost)
}

// checkRecipe lets an upload of which nothing is planned change in any way, and any other in its shard size if that grows.
func (r *Repository) checkRecipe(ctx context.Context, tx *dialect.Tx, u, fresh Upload) error {
	if u.Profile == fresh.Profile && u.ShardSize <= fresh.ShardSize {
		return nil
	}
	var planned int64
	if err := r.get(ctx, tx, &planned, nextOrdinal(u.ID)); err != nil || planned == 0 {
		return err
	}
	return fmt.Errorf("upload %d: %w: it has the profile %s and the shard size %d", u.ID, ErrRecipe, u.Profile, u.ShardSize)
}

func (r *Repository) previous(ctx context.Context, tx *dialect.Tx, u Upload) (id int64, err error) {
	err = r.get(ctx, tx, &id, squirrel.Select("COALESCE(MAX(id), 0)").From("uploads").
		Where(squirrel.Eq{"source": u.Source, "state": Complete, "profile": u.Profile}))
	return id, err
}

// SetState records the stage that the run has reached.
func (r *Repository) SetState(ctx context.Context, run Run, state UploadState) error {
	return r.changeRun(ctx, fmt.Sprintf("begin %s", state), run, squirrel.Update("uploads").Set("state", state))
}

// CompleteUpload sets the root CID and what lies below it: the upload is finished.
func (r *Repository) CompleteUpload(ctx context.Context, run Run, root CID, counts Counts) error {
	return r.changeRun(ctx, "complete the upload", run, squirrel.Update("uploads").
		Set("state", Complete).Set("root_cid", root).Set("files", counts.Files).
		Set("directories", counts.Directories).Set("links", counts.Symlinks).Set("bytes", counts.Bytes).
		Set("finished_at", NewTime(r.now())))
}

func (r *Repository) changeRun(ctx context.Context, doing string, run Run, update squirrel.UpdateBuilder) error {
	return r.withTx(ctx, doing, func(tx *dialect.Tx) error {
		rows, err := r.exec(ctx, tx, update.Where(squirrel.Eq{"id": run.Upload.ID, "token": run.Upload.Token}))
		if err != nil {
			return err
		}
		return affected(rows, ErrLeaseLost)
	})
}

// fence makes the transaction fail with ErrLeaseLost unless the run still has its upload, and until its end.
func (r *Repository) fence(ctx context.Context, tx *dialect.Tx, run Run) error {
	var upload int64
	err := r.get(ctx, tx, &upload, squirrel.Select("id").From("uploads").
		Where(squirrel.Eq{"id": run.Upload.ID, "token": run.Upload.Token}).Suffix(r.db.SharedLock))
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("upload %d: %w", run.Upload.ID, ErrLeaseLost)
	}
	return err
}

// fenced runs fn in a transaction in the name of the run.
func (r *Repository) fenced(ctx context.Context, doing string, run Run, fn func(*dialect.Tx) error) error {
	return r.withTx(ctx, doing, func(tx *dialect.Tx) error {
		if err := r.fence(ctx, tx, run); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Upload returns the upload with this key, or ErrNotFound.
func (r *Repository) Upload(ctx context.Context, id int64) (upload Upload, err error) {
	err = r.read(ctx, fmt.Sprintf("upload %d", id), func() error {
		return r.get(ctx, r.db.Reader, &upload,
			squirrel.Select(uploadColumns...).From("uploads").Where(squirrel.Eq{"id": id}))
	})
	return upload, err
}

// UploadFilter narrows a list of uploads; nil means all.
type UploadFilter struct {
	Space, Source *int64
}

// Uploads lists uploads by key.
func (r *Repository) Uploads(ctx context.Context, filter UploadFilter) (uploads []Upload, err error) {
	query := squirrel.Select(uploadColumns...).From("uploads").OrderBy("id")
	if filter.Source != nil {
		query = query.Where(squirrel.Eq{"source": *filter.Source})
	}
	if filter.Space != nil {
		query = query.Where(within("source", squirrel.Select("id").From("sources").Where(squirrel.Eq{"space": *filter.Space})))
	}
	err = r.read(ctx, "list uploads", func() error {
		uploads = nil
		return r.list(ctx, r.db.Reader, &uploads, query)
	})
	return uploads, err
}
