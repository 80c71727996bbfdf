package sqlrepo

import (
	"context"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Rereading says which content an upload reads, though an earlier scan knows it.
type Rereading struct {
	// Reread is set if all content is read.
	Reread bool `db:"reread"`
	// IgnoreInode and IgnoreCtime leave these out of comparisons of fingerprints.
	IgnoreInode bool `db:"ignore_inode"`
	IgnoreCtime bool `db:"ignore_ctime"`
	// MtimeWindow is how many nanoseconds times of modification may differ and count as the same.
	MtimeWindow int64 `db:"mtime_window"`
}

var rereadingColumns = []string{"reread", "ignore_inode", "ignore_ctime", "mtime_window"}

func (r Rereading) values() []any {
	return []any{number(r.Reread), number(r.IgnoreInode), number(r.IgnoreCtime), r.MtimeWindow}
}

// rereads reports whether opening an unfinished upload with fresh has its files read that are read already. One that is
// rereading goes on with that, unless it had come to its end.
func rereads(u, fresh Upload) bool { return fresh.Reread && (!u.Reread || u.State == Incomplete) }

// doubt makes all files of an upload unproven, so that its next scan takes none of them for known.
func (r *Repository) doubt(ctx context.Context, tx *dialect.Tx, upload int64) error {
	return r.later(ctx, tx, squirrel.Update("entries").Set("unproven", 1).
		Where(squirrel.Eq{"upload": upload, "kind": File}), nil)
}
