package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// OwnFile returns a file that has its own content, with its segments and its root, if it has one, and the key of
// its upload. It returns ErrNotFound if there is no such file.
func (r *Repository) OwnFile(ctx context.Context, entry int64) (upload int64, file Linkable, err error) {
	var row struct {
		Linkable
		Upload int64 `db:"upload"`
	}

	columns := append([]string{"upload"}, linkableFields...)
	err = r.db.ReadOne(ctx, "look up a file", &row,
		sq.Select(columns...).From("entries").
			Where(sq.Eq{"id": entry, "kind": File, "origin": nil, "state": linkable}))
	if err != nil {
		return 0, file, err
	}

	page := []Linkable{row.Linkable}
	if err := r.addSegments(ctx, ownContent(page)); err != nil {
		return 0, file, err
	}
	err = r.addKnown(ctx, page, owner)
	return row.Upload, page[0], err
}

// OriginOf returns the entry whose content another shares, or that entry itself if it shares none or does not
// exist.
func (r *Repository) OriginOf(ctx context.Context, entry int64) (origin int64, err error) {
	var found []int64
	err = r.db.ReadAll(ctx, "look up an origin", &found, sq.Select("COALESCE(origin, id)").From("entries").
		Where(sq.Eq{"id": entry}))
	if len(found) == 0 {
		return entry, err
	}
	return found[0], err
}

// SetSegments replaces the segments of a file.
func (r *Repository) SetSegments(ctx context.Context, entry int64, segments []Segment) error {
	return r.db.Transact(ctx, "set the segments of a file", func(tx *core.Tx) error {
		if _, err := tx.Exec(ctx, sq.Delete("segments").Where(sq.Eq{"entry": entry})); err != nil {
			return err
		}
		return r.insertSegments(ctx, tx, segments)
	})
}
