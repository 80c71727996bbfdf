package copying

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Progress is called, unless it is nil, as rows are copied.
type Progress func(TransferProgress)

// TransferProgress is how far a transfer is.
type TransferProgress struct {
	// Table is the table whose rows are copied or read. It is empty while whole pages are.
	Table string
	// Checking is true while something is read to be summed up and compared, and not copied.
	Checking bool
	// Comparing is true while a copy is read as a whole, after all was copied.
	Comparing bool
	// Rows is how many rows of the table were copied, or read, and Of how many it has. For pages, both count pages.
	Rows, Of int64
	// Done is how many rows of all tables are done, and Total how many there are. Of a row that is to be read back, the
	// copy is half of the work.
	Done, Total int64
}

// meter reports how far the work on all tables is. A nil meter reports nothing.
type meter struct {
	progress Progress
	// readBack is true if each table is read back after it was copied.
	readBack      bool
	of            map[string]int64
	before, total int64
}

// newMeter counts the rows of some tables. It reads no node: shards know how many they have.
func newMeter(ctx context.Context, q core.Queryer, tables []schema.Table, progress Progress) (*meter, error) {
	if progress == nil {
		return nil, nil //nolint:nilnil // nobody asks
	}

	m := &meter{progress: progress, of: map[string]int64{}}
	for _, t := range tables {
		count := ownRows(t, sq.Select("COUNT(*)"))
		if t.Name == "nodes" {
			count = sq.Select("CAST(COALESCE(SUM(nodes), 0) AS BIGINT)").From("shards")
		}

		var rows int64
		if err := q.Get(ctx, &rows, count); err != nil {
			return nil, err
		}
		m.of[t.Name] = rows
		m.total += rows
	}
	return m, nil
}

// at reports how many rows of a table were copied, or read if checking is true.
func (m *meter) at(table string, checking bool, rows int64) {
	if m == nil {
		return
	}

	done := rows
	if m.readBack {
		if checking {
			done += m.of[table]
		}
		done /= 2
	}
	m.progress(TransferProgress{
		Table: table, Checking: checking, Rows: rows, Of: m.of[table], Done: m.before + done, Total: m.total,
	})
}

// end says that a table is done, with so many rows.
func (m *meter) end(table string, checking bool, rows int64) {
	if m != nil {
		m.at(table, checking, rows)
		m.before += rows
	}
}

// pages returns a function that reports how many pages of a file were copied, or nil.
func (p Progress) pages() func(done, of int64) {
	if p == nil {
		return nil
	}
	return func(done, of int64) { p(TransferProgress{Rows: done, Of: of}) }
}
