package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Rereading says which content an upload reads although an earlier scan knows it.
type Rereading struct {
	// Reread is true if all content is read.
	Reread bool `db:"reread"`
	// IgnoreInode and IgnoreCtime leave inodes or ctimes out of comparisons of fingerprints.
	IgnoreInode bool `db:"ignore_inode"`
	IgnoreCtime bool `db:"ignore_ctime"`
	// MtimeWindow is how many nanoseconds times of modification may differ and count as the same.
	MtimeWindow int64 `db:"mtime_window"`
}

func (r Rereading) values() []any {
	return []any{core.Number(r.Reread), core.Number(r.IgnoreInode), core.Number(r.IgnoreCtime), r.MtimeWindow}
}

// rereads reports whether opening an unfinished upload with fresh makes it read files again that it has read. An
// upload that is rereading already goes on with that, unless it had come to its end.
func rereads(u, fresh Upload) bool { return fresh.Reread && (!u.Reread || u.State == Incomplete) }

// doubt marks all files of an upload as unproven. Its next scan then treats none of them as known.
func doubt(ctx context.Context, tx *core.Tx, upload int64) error {
	return tx.Later(ctx, sq.Update("entries").Set("unproven", 1).
		Where(sq.Eq{"upload": upload, "kind": File}), nil)
}
