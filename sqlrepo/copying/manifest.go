package copying

import (
	"context"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Manifest returns the content as an archive carries it, with the columns that the digests cover.
func (c Content) Manifest() (manifest []dialect.ManifestTable) {
	for i, t := range c {
		manifest = append(manifest, dialect.ManifestTable{
			Name: t.Table, Columns: dialect.ManifestColumns(schema.Tables[i].Columns), Rows: t.Rows, Digest: t.Digest,
		})
	}
	return manifest
}

// Expected returns the content that a manifest stands for. It reports whether the manifest has the tables and columns
// of this program, as the manifest of a copy with the present schema has.
func Expected(manifest []dialect.ManifestTable) (content Content, present bool) {
	present = len(manifest) == len(schema.Tables)
	for i, t := range manifest {
		content = append(content, TableContent{Table: t.Name, Rows: t.Rows, Digest: t.Digest})
		present = present && t.Name == schema.Tables[i].Name && t.Columns == dialect.ManifestColumns(schema.Tables[i].Columns)
	}
	return content, present
}

// CheckManifest reads all rows and returns ErrDifferent, naming the table, unless they are the rows that the manifest
// stands for. The schema may have any version.
func (c *Copier) CheckManifest(ctx context.Context, manifest []dialect.ManifestTable) error {
	got, err := c.SumManifest(ctx, manifest)
	if err != nil {
		return err
	}
	want, _ := Expected(manifest)
	return SameContent(got, want)
}

// SumManifest returns the content of the tables and columns that a manifest names.
func (c *Copier) SumManifest(ctx context.Context, manifest []dialect.ManifestTable) (content Content, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}

	var counted *meter
	if c.progress != nil {
		counted = &meter{progress: c.progress, of: map[string]int64{}}
		for _, s := range manifest {
			counted.of[s.Name] = s.Rows
			counted.total += s.Rows
		}
	}

	for _, s := range manifest {
		t := schema.Table{Name: s.Name, Columns: strings.Split(s.Columns, ", ")}
		sum, err := sumRows(ctx, c.db.Reader, t, unleasedRows(t), counted)
		if err != nil {
			return nil, c.db.Classified("read table "+t.Name, err)
		}
		counted.end(t.Name, true, sum.rows)
		content = append(content, sum.of(t))
	}
	return content, nil
}
