package schema

import (
	sq "github.com/Masterminds/squirrel"
)

// NoneStore is the identity of the store that keeps no bytes.
const NoneStore = "none"

// keepers selects which stores are to have the files of uploads, as the columns upload and store: the upload's own
// store, the replicas of that store, and those of the upload's space. The store is NULL if it is not recorded. Whatever
// else makes a store keep the files of uploads is another part of this union.
func keepers() sq.SelectBuilder {
	own := sq.Select("id AS upload", "store").From("uploads")
	replicas := sq.Select("uploads.id", "replicas.store").From("uploads").
		Join("replicas ON replicas.origin = uploads.store")
	ofSpace := sq.Select("uploads.id", "space_replicas.store").From("uploads").
		Join("sources ON sources.id = uploads.source").
		Join("space_replicas ON space_replicas.space = sources.space").Where(sq.NotEq{"uploads.store": NoneStore})
	return own.SuffixExpr(sq.ConcatExpr("UNION ALL ", replicas, " UNION ALL ", ofSpace))
}

// WithKeepers adds to a query of the files in a table, shards or indexes, a row for each store that is to have the
// file, as keepers.store. That is NULL if any store may be meant: the upload's store is not recorded, or the upload's
// row is gone.
func WithKeepers(query sq.SelectBuilder, table string) sq.SelectBuilder {
	return query.JoinClause(sq.ConcatExpr("LEFT JOIN (", keepers(), ") AS keepers ON keepers.upload = "+table+".upload"))
}

// KeptIn narrows a query of the files in a table to those that a store is to have. It may yield a file repeatedly. If
// the store is "", which stands for one whose identity is not known, it is to have all files.
func KeptIn(query sq.SelectBuilder, table, store string) sq.SelectBuilder {
	if store == "" {
		return query
	}
	return WithKeepers(query, table).Where(sq.Eq{"COALESCE(keepers.store, '')": []string{store, ""}})
}
