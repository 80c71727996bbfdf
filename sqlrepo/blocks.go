package sqlrepo

import (
	"cmp"
	"context"
	"database/sql"
	"iter"
	"slices"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// FindBlocks returns where the given blocks lie in packed shards of a space, or of all spaces if space is nil,
// ordered by shard and position. A block that is stored more than once has more than one place.
func (r *Repository) FindBlocks(ctx context.Context, space *int64, digests []Digest) (found []Place, err error) {
	shards := sq.And{sq.Eq{"shards.state": ShardPacked}}
	if space != nil {
		uploads := sq.Select("uploads.id").From("uploads").Where(schema.InSpace(*space))
		shards = append(shards, core.Within("shards.upload", uploads))
	}

	for some := range slices.Chunk(digests, core.KeysAtOnce) {
		err := r.db.Retry(ctx, "find blocks", func() error {
			places, err := r.placesIn(ctx, shards, some, "nodes.position", "nodes.length", "nodes.codec")
			if err == nil {
				found = append(found, places...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}

	slices.SortFunc(found, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Position, b.Position))
	})
	return slices.Compact(found), ctx.Err()
}

// UploadsWithRoot returns the uploads that have been linked to a root, the latest first.
func (r *Repository) UploadsWithRoot(ctx context.Context, root CID) (uploads []Upload, err error) {
	err = r.db.ReadAll(ctx, "look for uploads of a root", &uploads, sq.Select(schema.UploadFields...).From("uploads").
		Where(sq.Eq{"root_cid": root, "state": []UploadState{Complete, Indexing}}).OrderBy("id DESC"))
	return uploads, err
}

// Listed is an entry as a reader of its upload sees it.
type Listed struct {
	Path Path `db:"path"`
	Fingerprint
	// Root is the root of a file's DAG, undefined if it is not known.
	Root CID `db:"-"`

	ID     int64 `db:"id"`
	Origin int64 `db:"origin"`
}

var listedFields = schema.Readable("id", "path", "kind", "size", "mtime_ns", "permissions", "target", "mtime_era",
	"origin")

// EntriesBelow yields, in canonical order, the entry at a path of an upload and the entries below it, as far as
// they belong under the upload's root. It reads them page by page.
func (r *Repository) EntriesBelow(ctx context.Context, upload int64, path Path) iter.Seq2[Listed, error] {
	query := sq.Select(listedFields...).From("entries").
		Where(sq.Eq{"upload": upload, "state": LinkableStates}).OrderBy("path")
	if path != "" { // the entries below follow at once: the separator is the lowest byte
		query = query.Where(sq.GtOrEq{"path": path}).Where(sq.Lt{"path": path + "\x01"})
	}
	return core.Rows(ctx, r.db, "read entries", query, behindListed)
}

// Listing yields, in canonical order, the entries of an upload that belong under its root. Files have their roots.
func (r *Repository) Listing(ctx context.Context, upload int64) iter.Seq2[Listed, error] {
	query := sq.Select(listedFields...).From("entries").
		Where(sq.Eq{"upload": upload, "state": LinkableStates}).OrderBy("path")
	return core.Pages(query, behindListed, func(page *[]Listed, query sq.SelectBuilder) error {
		if err := r.db.ReadAll(ctx, "read entries", page, query); err != nil {
			return err
		}
		return r.AddRoots(ctx, *page)
	})
}

func behindListed(last Listed) sq.Sqlizer { return sq.Gt{"path": last.Path} }

// AddRoots fills in the roots of files.
func (r *Repository) AddRoots(ctx context.Context, page []Listed) error {
	files, ids := map[int64]*Listed{}, []int64{}
	for i := range page {
		if page[i].Kind != File {
			continue
		}

		// The entry that owns the content has the root.
		owner := cmp.Or(page[i].Origin, page[i].ID)
		files[owner], ids = &page[i], append(ids, owner)
	}

	if len(ids) == 0 {
		return ctx.Err()
	}

	var roots []Root
	err := r.db.ReadAll(ctx, "read roots", &roots,
		sq.Select(schema.RootColumns...).From("roots").Where(r.db.Among("entry", ids)))

	for _, root := range roots {
		files[root.Entry].Root = root.CID
	}
	return err
}

// readNodes reads a page of nodes. There are so many that reading them into structs, by column name and with each
// number parsed from text, would take longer than everything else.
func (r *Repository) readNodes(ctx context.Context, page *[]nodeRow, query sq.SelectBuilder) error {
	*page = nil
	var suffixes []byte
	return r.db.Reader.Stream(ctx, query, func(rows *sqlx.Rows) error {
		var prefix, position, length, codec int64
		var suffix sql.RawBytes
		if err := rows.Scan(&prefix, &position, &length, &codec, &suffix); err != nil {
			return err
		}

		if cap(suffixes)-len(suffixes) < len(suffix) { // earlier suffixes stay in the old buffer
			suffixes = make([]byte, 0, max(64<<10, len(suffix)))
		}

		begin := len(suffixes)
		suffixes = append(suffixes, suffix...)

		*page = append(*page, nodeRow{
			Prefix: prefix, Position: int32(position), Length: int32(length), Codec: uint8(codec),
			Suffix: suffixes[begin:len(suffixes):len(suffixes)],
		})
		return nil
	})
}
