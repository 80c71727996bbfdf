package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// UploadKeys returns the keys of all uploads, in order.
func (a *Auditor) UploadKeys(ctx context.Context) (keys []int64, err error) {
	err = a.db.ReadAll(ctx, "list uploads", &keys, sq.Select("id").From("uploads").OrderBy("id"))
	return keys, err
}

// FileDigests yields the digests of the files that a store is to have: those of shards and indexes in any state. If
// the store is "", which stands for one whose identity is not known, it is to have all files.
func (a *Auditor) FileDigests(ctx context.Context, store string) iter.Seq2[[]byte, error] {
	type row struct {
		ID     int64  `db:"id"`
		Digest []byte `db:"digest"`
	}
	behind := func(last row) sq.Sqlizer { return sq.Gt{"id": last.ID} }

	return func(yield func([]byte, error) bool) {
		for _, table := range []string{"shards", "indexes"} {
			query := schema.KeptIn(sq.Select("id", "digest").From(table), table, store).
				Where(sq.NotEq{"digest": nil}).OrderBy("id")
			for row, err := range core.Rows(ctx, a.db, "read the digests of "+table, query, behind) {
				if !yield(row.Digest, err) {
					return
				}
			}
		}
	}
}

// IsLatest reports whether the source has no newer upload that is not removed. Only then can the upload be prepared
// again.
func (a *Auditor) IsLatest(ctx context.Context, upload int64) (latest bool, err error) {
	var newer int64
	source := sq.Select("source").From("uploads").Where(sq.Eq{"id": upload})
	err = a.db.ReadOne(ctx, "look for a newer upload", &newer,
		sq.Select("COUNT(*)").From("uploads").
			Where(sq.ConcatExpr("source = (", source, ")")).Where(sq.Gt{"id": upload}).
			Where(sq.NotEq{"state": sqlrepo.Removed}))
	return newer == 0, err
}

// OriginOf returns the entry whose content another shares, or that entry itself if it shares none or does not
// exist.
func (a *Auditor) OriginOf(ctx context.Context, entry int64) (origin int64, err error) {
	var found []int64
	err = a.db.ReadAll(ctx, "look up an origin", &found, sq.Select("COALESCE(origin, id)").From("entries").
		Where(sq.Eq{"id": entry}))
	if len(found) == 0 {
		return entry, err
	}
	return found[0], err
}

// EntriesOf returns some keys, behind the given one, of entries that have segments in a shard.
func (a *Auditor) EntriesOf(ctx context.Context, shard, behind int64) (entries []int64, err error) {
	err = a.db.ReadAll(ctx, fmt.Sprintf("files in shard %d", shard), &entries,
		sq.Select("entry").Distinct().From("segments").
			Where(sq.Eq{"shard": shard}).Where(sq.Gt{"entry": behind}).OrderBy("entry").Limit(core.KeysAtOnce))
	return entries, err
}

// PathsIn counts the files of which a shard has content, and returns some of their paths.
func (a *Auditor) PathsIn(ctx context.Context, shard int64, most uint64) (paths []sqlrepo.Path, files int64,
	err error) {
	having := core.Within("id", sq.Select("entry").From("segments").Where(sq.Eq{"shard": shard}))
	err = a.db.ReadOne(ctx, "count the files in a shard", &files, sq.Select("COUNT(*)").From("entries").Where(having))
	if err == nil {
		err = a.db.ReadAll(ctx, "look for the files in a shard", &paths,
			sq.Select("path").From("entries").Where(having).OrderBy("path").Limit(most))
	}
	return paths, files, err
}

// UploadOf returns the upload of an entry, 0 if there is no such entry.
func (a *Auditor) UploadOf(ctx context.Context, entry int64) (upload int64, err error) {
	err = a.db.ReadOne(ctx, "upload of an entry", &upload,
		sq.Select("upload").From("entries").Where(sq.Eq{"id": entry}))
	if errors.Is(err, sqlrepo.ErrNotFound) {
		return 0, nil
	}
	return upload, err
}

// CountPackedShards counts the shards of an upload, or of all, whose files are in a store.
func (a *Auditor) CountPackedShards(ctx context.Context, upload *int64) (n int64, err error) {
	packed := sq.Select("COUNT(*)").From("shards").Where(sq.Eq{"state": sqlrepo.ShardPacked})
	err = a.db.ReadOne(ctx, "count shards", &n, scope{upload: upload}.kept(packed, "upload"))
	return n, err
}

// ShardsOfFiles returns the keys of the shards that hold the content of some files, whether their own or shared.
func (a *Auditor) ShardsOfFiles(ctx context.Context, entries []int64) (shards []int64, err error) {
	if len(entries) == 0 {
		return nil, ctx.Err()
	}

	found := map[int64]struct{}{}
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		owners := sq.Select("COALESCE(origin, id)").From("entries").Where(a.db.Among("id", ids))
		var some []int64
		err := a.db.ReadAll(ctx, "shards of files", &some, sq.Select("shard").Distinct().From("segments").
			Where(core.Within("entry", owners)))
		if err != nil {
			return nil, err
		}
		for _, shard := range some {
			found[shard] = struct{}{}
		}
	}

	return slices.Sorted(maps.Keys(found)), nil
}

// Suspects returns the keys of the packed shards of a space with a node that has half of the digest of a block that
// the space lacks: the other half may be wrong. It reads all nodes.
func (a *Auditor) Suspects(ctx context.Context, space int64, digests []sqlrepo.Digest) (shards []int64, err error) {
	if len(digests) == 0 {
		return nil, ctx.Err()
	}
	prefixes, suffixes := make([]int64, len(digests)), make([][]byte, len(digests))
	for i, digest := range digests {
		prefixes[i], suffixes[i] = schema.SplitDigest(digest[:])
	}

	err = a.db.ReadAll(ctx, "look for nodes that are half right", &shards,
		sq.Select("shards.id").Distinct().From("nodes").Join("shards ON shards.id = nodes.shard").
			Join("uploads ON uploads.id = shards.upload").Join("sources ON sources.id = uploads.source").
			Where(sq.Eq{"sources.space": space, "shards.state": sqlrepo.ShardPacked}).
			Where(sq.Or{a.db.Among("nodes.prefix", prefixes), sq.Eq{"nodes.suffix": suffixes}}).
			OrderBy("shards.id"))
	return shards, err
}
