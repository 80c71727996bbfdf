package copying

import (
	"context"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Sealed returns the content as an archive carries it, with the columns that the digests cover.
func (c Content) Sealed() (sealed []dialect.SealedTable) {
	for i, t := range c {
		sealed = append(sealed, dialect.SealedTable{
			Name: t.Table, Columns: dialect.SealedColumns(schema.Tables[i].Columns), Rows: t.Rows, Digest: t.Digest,
		})
	}
	return sealed
}

// Expected returns the content that a seal stands for. It reports whether the seal has the tables and columns of
// this program, as the seal of a copy with the present schema has.
func Expected(sealed []dialect.SealedTable) (content Content, present bool) {
	present = len(sealed) == len(schema.Tables)
	for i, t := range sealed {
		content = append(content, TableContent{Table: t.Name, Rows: t.Rows, Digest: t.Digest})
		present = present && t.Name == schema.Tables[i].Name && t.Columns == dialect.SealedColumns(schema.Tables[i].Columns)
	}
	return content, present
}

// CheckSealed reads all rows and returns ErrDifferent, naming the table, unless they are the rows that the seal
// stands for. The schema may have any version.
func (c *Copier) CheckSealed(ctx context.Context, sealed []dialect.SealedTable) error {
	got, err := c.SumSealed(ctx, sealed)
	if err != nil {
		return err
	}
	want, _ := Expected(sealed)
	return SameContent(got, want)
}

// SumSealed returns the content of the tables and columns that a seal names.
func (c *Copier) SumSealed(ctx context.Context, sealed []dialect.SealedTable) (content Content, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, s := range sealed {
		t := schema.Table{Name: s.Name, Columns: strings.Split(s.Columns, ", ")}
		sum, err := sumRows(ctx, c.db.Reader, t, unleasedRows(t), nil)
		if err != nil {
			return nil, c.db.Classified("read table "+t.Name, err)
		}
		content = append(content, sum.of(t))
	}
	return content, nil
}
