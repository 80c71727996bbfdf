package sqlrepo

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Tag adds tags to an upload and removes others, in one transaction. Text makes tags fit. A tag that the upload has, or
// lacks, already is no error. Tag returns ErrNotFound if there is no such upload, and ErrState if it was removed.
func (r *Repository) Tag(ctx context.Context, upload int64, add, remove []string) error {
	return r.db.Transact(ctx, fmt.Sprintf("tag upload %d", upload), func(tx *core.Tx) error {
		// A removal that looks at the tags waits, or comes first.
		var state UploadState
		locked := sq.Select("state").From("uploads").Where(sq.Eq{"id": upload}).Suffix(r.db.RowLock)
		if err := tx.Get(ctx, &state, locked); err != nil {
			return err
		}
		if state == Removed {
			return fmt.Errorf("upload %d: %w: it was removed", upload, ErrState)
		}

		if len(remove) > 0 {
			gone := sq.Delete("upload_tags").Where(sq.Eq{"upload": upload, "tag": texts(remove)})
			if err := tx.Later(ctx, gone, nil); err != nil {
				return err
			}
		}
		for _, tag := range texts(add) {
			added := sq.Insert("upload_tags").Columns(schema.TagColumns...).Values(upload, tag).
				Suffix("ON CONFLICT (upload, tag) DO NOTHING")
			if err := tx.Later(ctx, added, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func texts(tags []string) (fit []string) {
	for _, tag := range tags {
		fit = append(fit, Text(tag))
	}
	return fit
}

// Tags returns the tags of the uploads that a filter selects, sorted, by the keys of the uploads.
func (r *Repository) Tags(ctx context.Context, filter UploadFilter) (map[int64][]string, error) {
	query := sq.Select("upload", "tag").From("upload_tags")
	if filter.Source != nil {
		query = query.Where(core.Within("upload", sq.Select("id").From("uploads").Where(sq.Eq{"source": *filter.Source})))
	}
	if filter.Space != nil {
		query = query.Where(core.Within("upload", sq.Select("id").From("uploads").Where(schema.InSpace(*filter.Space))))
	}
	return r.tags(ctx, query)
}

// TagsOfUploads returns the tags of several uploads, each sorted, by the keys of the uploads.
func (r *Repository) TagsOfUploads(ctx context.Context, uploads []int64) (map[int64][]string, error) {
	return r.tags(ctx, sq.Select("upload", "tag").From("upload_tags").Where(r.db.Among("upload", uploads)))
}

func (r *Repository) tags(ctx context.Context, query sq.SelectBuilder) (map[int64][]string, error) {
	var rows []struct {
		Upload int64  `db:"upload"`
		Tag    string `db:"tag"`
	}
	if err := r.db.ReadAll(ctx, "list tags", &rows, query.OrderBy("upload", "tag")); err != nil {
		return nil, err
	}

	tags := map[int64][]string{}
	for _, row := range rows {
		tags[row.Upload] = append(tags[row.Upload], row.Tag)
	}
	return tags, nil
}

// TagsOf returns the tags of one upload, sorted.
func (r *Repository) TagsOf(ctx context.Context, upload int64) (tags []string, err error) {
	err = r.db.ReadAll(ctx, fmt.Sprintf("tags of upload %d", upload), &tags,
		sq.Select("tag").From("upload_tags").Where(sq.Eq{"upload": upload}).OrderBy("tag"))
	return tags, err
}
