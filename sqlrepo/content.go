package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// TableContent is what a repository holds of one table: the number of rows, and a digest of them that depends
// neither on their order nor on the engine.
type TableContent struct {
	Table  string
	Rows   int64
	Digest string
}

// Content is what a repository holds, table by table.
type Content []TableContent

// SameContent returns ErrDifferent, naming the table, unless a copy holds the same as its source.
func SameContent(copied, source Content) error {
	for i, want := range source {
		got := TableContent{Table: want.Table}
		if i < len(copied) {
			got = copied[i]
		}
		if got != want {
			return fmt.Errorf("%w: table %s has %d rows with the digest %.16s, in the copy %d with %.16s",
				ErrDifferent, want.Table, want.Rows, want.Digest, got.Rows, got.Digest)
		}
	}
	return nil
}

// Content returns what the repository holds at one moment, as if no work were claimed.
func (r *Repository) Content(ctx context.Context) (content Content, err error) {
	err = r.read(ctx, "read the content", func() error {
		snapshot, err := r.beginSnapshot(ctx)
		if err != nil {
			return err
		}
		defer snapshot.Rollback() //nolint:errcheck // it only reads
		content, err = r.contentOf(ctx, snapshot, nil)
		return err
	})
	return content, err
}

func (r *Repository) contentOf(ctx context.Context, q rowQueryer, progress Progress) (content Content, err error) {
	for _, t := range tables {
		sum, err := r.sumRows(ctx, q, t, t.unleased(), progress)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		content = append(content, sum.of(t))
	}
	return content, nil
}

// sumRows returns the sum of the rows of a query.
func (r *Repository) sumRows(ctx context.Context, q rowQueryer, t table, query sq.Sqlizer,
	progress Progress) (sum rowSum, err error) {
	err = r.eachRow(ctx, q, query, len(t.columns), func(row []any) error {
		if sum.rows%batchRows == batchRows-1 {
			progress.tell(TransferProgress{Table: t.name, Checking: true, Rows: sum.rows + 1})
		}
		return sum.add(row)
	})
	return sum, err
}

// CopyFile writes everything that the repository holds at one moment to a new database file of the engine's own
// kind, and returns its content. Workers go on meanwhile. The file is not durable yet, and has the leases of the
// original; see ReleaseAll. CopyFile returns errors.ErrUnsupported if the engine has no such files.
func (r *Repository) CopyFile(ctx context.Context, file string, progress Progress) (content Content, err error) {
	if !r.db.CopiesPages() {
		return nil, errors.Join(errors.ErrUnsupported, ctx.Err())
	}

	use, err := r.LockUse(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, use.Release()) }()

	content, err = r.copyFile(ctx, file, progress)
	return content, r.classified("copy the database", err)
}

func (r *Repository) copyFile(ctx context.Context, file string, progress Progress) (content Content, err error) {
	conn, err := r.db.Reader.Connx(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it only reads

	options := r.db.Snapshot
	tx, err := conn.BeginTxx(ctx, &options)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads

	// The first read fixes the state that the transaction sees.
	if _, err := r.sumRows(ctx, tx, tables[0], tables[0].unleased(), nil); err != nil {
		return nil, err
	}

	// The copy uses the connection of the transaction, so it sees the same state.
	if err := r.db.CopyPages(ctx, conn, file); err != nil {
		return nil, err
	}
	return r.contentOf(ctx, tx, progress)
}

// ReleaseAll clears all leases. It is for a copy of a repository in which others are at work.
func (r *Repository) ReleaseAll(ctx context.Context) error {
	return r.withTx(ctx, "release all leases", func(tx *dialect.Tx) error {
		for _, table := range []string{"uploads", "shards"} {
			leased := free(sq.Update(table)).Where(sq.NotEq{"token": 0})
			if _, err := r.exec(ctx, tx, leased); err != nil {
				return err
			}
		}
		return nil
	})
}
