package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"
)

// CountNodes returns the number of nodes. It adds up the counts of the shards and reads no node.
func (r *Repository) CountNodes(ctx context.Context) (n int64, err error) {
	err = r.db.ReadOne(ctx, "count nodes", &n, sq.Select("CAST(COALESCE(SUM(nodes), 0) AS BIGINT)").From("shards"))
	return n, err
}
