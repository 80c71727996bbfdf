package copying

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
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
func (c *Copier) Content(ctx context.Context) (content Content, err error) {
	err = c.db.Retry(ctx, "read the content", func() error {
		snapshot, err := c.db.BeginSnapshot(ctx)
		if err != nil {
			return err
		}
		defer snapshot.End()
		content, err = contentOf(ctx, snapshot, c.progress)
		return err
	})
	return content, err
}

func contentOf(ctx context.Context, q core.Queryer, progress Progress) (content Content, err error) {
	counted, err := newMeter(ctx, q, schema.Tables, progress)
	if err != nil {
		return nil, err
	}
	for _, t := range schema.Tables {
		sum, err := sumRows(ctx, q, t, unleasedRows(t), counted)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
		counted.end(t.Name, true, sum.rows)
		content = append(content, sum.of(t))
	}
	return content, nil
}

// sumRows returns the sum of the rows of a query.
func sumRows(ctx context.Context, q core.Queryer, t schema.Table, query sq.Sqlizer,
	counted *meter) (sum rowSum, err error) {
	counted.at(t.Name, true, 0)
	err = eachRow(ctx, q, query, len(t.Columns), func(row []any) error {
		if sum.rows%batchRows == batchRows-1 {
			counted.at(t.Name, true, sum.rows+1)
		}
		return sum.add(row)
	})
	return sum, err
}

// CopyFile writes everything that the repository holds at one moment to a new database file of the engine's own
// kind, and returns its content. Workers go on meanwhile. The file is not durable yet, and has the leases of the
// original; see ReleaseAll. CopyFile returns errors.ErrUnsupported if the engine has no such files.
func (c *Copier) CopyFile(ctx context.Context, file string, progress Progress) (content Content, err error) {
	if !c.db.CopiesPages() {
		return nil, errors.Join(errors.ErrUnsupported, ctx.Err())
	}

	use, err := c.db.LockUse(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, use.Release()) }()

	content, err = c.copyFile(ctx, file, progress)
	return content, c.db.Classified("copy the database", err)
}

func (c *Copier) copyFile(ctx context.Context, file string, progress Progress) (content Content, err error) {
	conn, err := c.db.DB.Reader.Connx(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it only reads

	snapshot, err := c.db.SnapshotOn(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer snapshot.End()

	first := schema.Tables[0]
	// The first read fixes the state that the snapshot sees.
	if _, err := sumRows(ctx, snapshot, first, unleasedRows(first), nil); err != nil {
		return nil, err
	}

	// The copy uses the connection of the snapshot, so it sees the same state.
	if err := c.db.CopyPages(ctx, conn, file, progress.pages()); err != nil {
		return nil, err
	}
	return contentOf(ctx, snapshot, progress)
}

// ReleaseAll clears all leases. It is for a copy of a repository in which others are at work.
func (c *Copier) ReleaseAll(ctx context.Context) error {
	return c.db.Transact(ctx, "release all leases", func(tx *core.Tx) error {
		for _, table := range []string{"uploads", "shards", "sendings"} {
			leased := schema.Free(sq.Update(table)).Where(sq.NotEq{"token": 0})
			if _, err := tx.Exec(ctx, leased); err != nil {
				return err
			}
		}
		return nil
	})
}
