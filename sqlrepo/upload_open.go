package sqlrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Opened is an upload to work on.
type Opened struct {
	Upload Upload
	// Resumed is true if an earlier run left the upload unfinished, Joined if others are at work on it now.
	Resumed, Joined bool
}

// OpenUpload returns the source's unfinished upload, or a new one if there is none, with the given profile, shard
// size, options, store and treatment of failures. Zero values of fresh stand for the defaults.
//
// An upload that others are at work on is joined and goes on as it is. OpenUpload returns ErrAtWork if anything but
// the treatment of failures would have to change for that.
//
// An upload that nobody is at work on begins again at its scan, and so does the work that was set aside. OpenUpload
// returns ErrRecipe if the upload can't change to the given recipe: what is planned keeps its profile, its indexing
// and whether it gets piece CIDs, and must fit the shard size. OpenUpload returns ErrOtherStore if the upload has
// shards elsewhere, and ErrNotFound if the repository does not know the store. The store becomes that of the space if
// the space has none.
func (r *Repository) OpenUpload(ctx context.Context, source int64, fresh Upload) (opened Opened, err error) {
	return r.openUpload(ctx, source, fresh, nil)
}

// OpenUploadWithOptions is like OpenUpload and makes the options of the upload those of its source, in the same
// transaction: later uploads have them exactly if this one does.
func (r *Repository) OpenUploadWithOptions(ctx context.Context, source int64, fresh Upload) (opened Opened, err error) {
	options := setOptions(source, fresh.SourceOptions)
	return r.openUpload(ctx, source, fresh, options)
}

// mostOpenings limits how often opening begins again because a worker has taken the upload on meanwhile.
const mostOpenings = 20

func (r *Repository) openUpload(ctx context.Context, source int64, fresh Upload,
	options sq.Sqlizer) (opened Opened, err error) {
	for range mostOpenings {
		err = r.db.Transact(ctx, "open the upload", func(tx *core.Tx) (err error) {
			if opened, err = r.open(ctx, tx, source, fresh); err != nil || options == nil {
				return err
			}
			return tx.Later(ctx, options, nil)
		})
		if !errors.Is(err, ErrState) {
			return opened, err
		}
	}
	return opened, err
}

// open returns ErrState if the upload that it was about to begin again is no longer as it was read. Nothing is lost
// by looking again.
func (r *Repository) open(ctx context.Context, tx *core.Tx, source int64, fresh Upload) (opened Opened, err error) {
	if err := tx.Later(ctx, schema.NeedsOf(sq.Eq{"id": source}), nil); err != nil {
		return opened, err
	}

	// Until the transaction ends, nobody else opens an upload of the source.
	locked := sq.Select("id").From("sources").Where(sq.Eq{"id": source}).Suffix(r.db.RowLock)
	if err := tx.LaterRead(ctx, make([]int64, 1), locked, nil); err != nil {
		return opened, err
	}

	unfinished, err := r.lockedUnfinished(ctx, tx, source)
	if errors.Is(err, ErrNotFound) {
		// The store is looked for on the way to the key of the upload.
		if err := r.useStore(ctx, tx, source, fresh.Store); err != nil {
			return opened, err
		}
		opened.Upload = fresh
		return opened, r.addUpload(ctx, tx, source, &opened.Upload)
	}
	if err != nil {
		return opened, err
	}

	opened.Upload, opened.Resumed = unfinished, true
	workers, err := Workers(ctx, tx, &unfinished.ID, schema.Live(r.db.At(0)))
	if err != nil {
		return opened, err
	}
	opened.Joined = len(workers) > 0
	if opened.Joined {
		err = joinable(unfinished, fresh)
	} else {
		err = r.restart(ctx, tx, &opened.Upload, fresh)
	}
	if err != nil {
		return opened, err
	}
	return opened, r.useStore(ctx, tx, source, opened.Upload.Store)
}

// lockedUnfinished is unfinished for a source that is about to be locked. It reads the upload only once the lock is
// held.
func (r *Repository) lockedUnfinished(ctx context.Context, tx *core.Tx, source int64) (upload Upload, err error) {
	count := make([]int64, 1)
	some := sq.Select("COUNT(*)").From("uploads").Where(sq.Eq{"source": source}).
		Where(sq.NotEq{"state": Complete})
	if err := tx.LaterRead(ctx, count, some, nil); err != nil {
		return upload, err
	}
	if err := tx.Flush(ctx); err != nil {
		return upload, err
	}

	if count[0] == 0 {
		return upload, ErrNotFound
	}
	return unfinished(ctx, tx, source)
}

// UnfinishedUpload returns the source's latest upload if it is neither complete nor removed, or ErrNotFound. Older
// unfinished uploads are not continued: others may share their content.
func (r *Repository) UnfinishedUpload(ctx context.Context, source int64) (upload Upload, err error) {
	err = r.db.Retry(ctx, "look for an unfinished upload", func() (err error) {
		upload, err = unfinished(ctx, r.db.Reader, source)
		return err
	})
	return upload, err
}

func unfinished(ctx context.Context, q core.Queryer, source int64) (upload Upload, err error) {
	latest := sq.Select("MAX(id)").From("uploads").Where(sq.Eq{"source": source}).
		Where(sq.NotEq{"state": Removed})
	err = q.Get(ctx, &upload, sq.Select(schema.UploadFields...).From("uploads").
		Where(sq.ConcatExpr("id = (", latest, ")")).Where(sq.NotEq{"state": ClosedStates}))
	return upload, err
}

func joinable(u, fresh Upload) error {
	what := ""
	switch {
	case u.Profile != fresh.Profile:
		what = "the profile " + u.Profile
	case u.ShardSize != fresh.ShardSize:
		what = fmt.Sprintf("the shard size %d", u.ShardSize)
	case u.SymlinkPolicy != fresh.SymlinkPolicy || !slices.Equal(u.Excludes, fresh.Excludes):
		what = "its own excludes and symlink policy"
	case u.Store != fresh.Store:
		what = "another store"
	case !indexedAlike(u, fresh) || u.PieceCID != fresh.PieceCID:
		what = u.indexing()
	case rereads(u, fresh):
		what = "not to read all content"
	case fresh.Always && !u.Always:
		what = "not to be made if nothing has changed"
	case u.IgnoreInode != fresh.IgnoreInode || u.IgnoreCtime != fresh.IgnoreCtime || u.MtimeWindow != fresh.MtimeWindow:
		what = "its own way to compare inodes, ctimes and times of modification"
	default:
		return nil
	}
	return fmt.Errorf("upload %d: %w: it has %s", u.ID, ErrAtWork, what)
}

func (r *Repository) addUpload(ctx context.Context, tx *core.Tx, source int64, u *Upload) (err error) {
	if u.ID, err = tx.NextIDs(ctx, "uploads", 1); err != nil {
		return err
	}
	u.Source, u.State, u.StartedAt = source, firstState, NewTime(r.db.Now())
	u.IndexLayout, u.IndexSlices = cmp.Or(u.IndexLayout, DefaultIndexLayout), cmp.Or(u.IndexSlices, DefaultIndexSlices)

	values := []any{u.ID, u.Source, u.State, u.Profile, u.ShardSize, u.Excludes, u.SymlinkPolicy, u.Token, u.Files,
		u.Directories, u.Symlinks, u.Bytes, u.RootCID, u.StartedAt, u.FinishedAt,
		core.Nullable(u.Store, ""), core.Number(u.SkipFailed), u.IndexLayout, u.IndexSlices,
		core.Number(u.PieceCID), r.db.At(0), core.Number(u.Always)}

	columns := slices.Concat(schema.UploadColumns, []string{"stage_began", "always"}, schema.RereadingColumns)
	return tx.Later(ctx, sq.Insert("uploads").Columns(columns...).Values(
		append(values, u.values()...)...), nil)
}

// restart sends the upload back to its scan and takes away all leases. It returns ErrState if the upload was taken
// on, or claimed, since it was read: it may be complete by now.
func (r *Repository) restart(ctx context.Context, tx *core.Tx, u *Upload, fresh Upload) error {
	if err := checkRecipe(ctx, tx, *u, fresh); err != nil {
		return err
	}
	if err := checkStore(ctx, tx, *u, fresh); err != nil {
		return err
	}

	if rereads(*u, fresh) {
		if err := doubt(ctx, tx, u.ID); err != nil {
			return err
		}
	}

	shards := schema.Settled(sq.Update("shards")).Set("set_aside_at", nil).
		Where(sq.Eq{"upload": u.ID, "state": ShardPlanned})
	if err := tx.Later(ctx, shards, nil); err != nil {
		return err
	}

	reopen := func() error {
		err := tx.Get(ctx, u, r.reopened(*u, fresh).Suffix("RETURNING "+core.ColumnList(schema.UploadFields)))
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("upload %d: %w: it was %s when it was looked at", u.ID, ErrState, u.State)
		}
		return err
	}
	if u.Store == fresh.Store {
		return reopen()
	}

	// The replicas of its store are those of another one from now on.
	files := FilesOf(u.ID)
	files.replicas = nil
	return files.Around(ctx, tx, reopen)
}

// indexedAlike reports whether two recipes make the same indexes.
func indexedAlike(a, b Upload) bool {
	return cmp.Or(a.IndexLayout, DefaultIndexLayout) == cmp.Or(b.IndexLayout, DefaultIndexLayout) &&
		cmp.Or(a.IndexSlices, DefaultIndexSlices) == cmp.Or(b.IndexSlices, DefaultIndexSlices)
}

// indexing describes how an upload is indexed, and whether it gets piece CIDs.
func (u Upload) indexing() string {
	pieces := "no piece CIDs"
	if u.PieceCID {
		pieces = "piece CIDs"
	}
	return fmt.Sprintf("indexes of the layout %s with %d slices at most, and %s",
		cmp.Or(u.IndexLayout, DefaultIndexLayout), cmp.Or(u.IndexSlices, DefaultIndexSlices), pieces)
}

// checkRecipe allows any change of an upload without planned content. Of any other upload only the shard size may
// change, if it grows.
func checkRecipe(ctx context.Context, tx *core.Tx, u, fresh Upload) error {
	if u.Profile == fresh.Profile && u.ShardSize <= fresh.ShardSize && indexedAlike(u, fresh) &&
		u.PieceCID == fresh.PieceCID {
		return nil
	}
	var planned int64
	if err := tx.Get(ctx, &planned, nextOrdinal(u.ID)); err != nil || planned == 0 {
		return err
	}
	return fmt.Errorf("upload %d: %w: it has the profile %s, the shard size %d, %s",
		u.ID, ErrRecipe, u.Profile, u.ShardSize, u.indexing())
}

// checkStore allows an upload to go to another store only if it depends on nothing in its present one: neither on
// its own shards, nor on those that hold what it did not store again, nor on content of an earlier upload.
func checkStore(ctx context.Context, tx *core.Tx, u, fresh Upload) error {
	if u.Store == "" || u.Store == fresh.Store {
		return nil
	}

	// An empty shard with segments counts on blocks of other shards.
	segments := sq.Select("1").From("segments").Where("shard = shards.id")
	settled := sq.Select("1").From("shards").Where(sq.Eq{"upload": u.ID}).Where(sq.Or{
		sq.Eq{"state": ShardPacked},
		sq.And{sq.Eq{"state": ShardEmpty}, sq.ConcatExpr("EXISTS (", segments, ")")},
	})
	shared := sq.Select("1").From("entries").Where(sq.Eq{"upload": u.ID}).Where(sq.NotEq{"origin": nil})

	var bound bool
	err := tx.Get(ctx, &bound, sq.Select().
		Column(sq.ConcatExpr("EXISTS (", settled, ") OR EXISTS (", shared, ")")))
	if err != nil || !bound {
		return err
	}
	return fmt.Errorf("upload %d: %w (its identity is %s)", u.ID, ErrOtherStore, u.Store)
}
