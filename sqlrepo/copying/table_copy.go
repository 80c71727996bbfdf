package copying

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// A batch ends after this many rows, or about this many bytes: the digests of a shard can take a megabyte.
const (
	batchRows  = 10_000
	batchBytes = 4 << 20
	// batchesAhead batches are read while one is written.
	batchesAhead = 2
)

// fill copies all tables within one transaction of the target.
func (c *Copier) fill(ctx context.Context, tx *core.Tx, transfer Transfer) (Content, error) {
	if err := tx.Unhurried(ctx); err != nil {
		return nil, err
	}
	if err := refuseUsed(ctx, tx); err != nil {
		return nil, err
	}

	snapshot, err := c.db.BeginSnapshot(ctx)
	if err != nil {
		return nil, c.sourceError("read the source", err)
	}
	defer snapshot.End()
	if err := snapshot.Prove(ctx); err != nil {
		return nil, c.sourceError("lock the source", err)
	}

	// Leases show workers that hold no lock, as behind a pooler.
	if !transfer.AllowLive {
		if err := c.refuseLive(ctx, snapshot); err != nil {
			return nil, c.sourceError("look for work in the source", err)
		}
	}

	counted, err := newMeter(ctx, snapshot, schema.Tables, transfer.Progress)
	if err != nil {
		return nil, c.sourceError("count the rows of the source", err)
	}
	if counted != nil {
		counted.readBack = true
	}

	var copied Content
	for _, t := range schema.Tables {
		one := tableCopy{Table: t, source: c, snapshot: snapshot, tx: tx, counted: counted}
		done, err := one.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Name, err)
		}
		copied = append(copied, done)
	}

	return copied, SameContent(copied, transfer.Expected)
}

// tableCopy copies one table.
type tableCopy struct {
	schema.Table
	source   *Copier
	snapshot *core.Snapshot
	tx       *core.Tx
	counted  *meter
}

// run copies the table, reads the copy back and compares the two.
func (c *tableCopy) run(ctx context.Context) (copied TableContent, err error) {
	var read, written rowSum
	err = c.tx.WithoutIndexes(ctx, c.Name, func() error {
		if read, err = c.copy(ctx); err != nil {
			return err
		}
		written, err = sumRows(ctx, c.tx, c.Table, allRows(c.Table), c.counted)
		return err
	})
	if err != nil {
		return copied, err
	}

	c.counted.end(c.Name, true, written.rows)
	copied = read.of(c.Table)
	return copied, SameContent(Content{written.of(c.Table)}, Content{copied})
}

// copy reads and writes at the same time.
func (c *tableCopy) copy(ctx context.Context) (read rowSum, err error) {
	if c.Name == core.CounterTable {
		// The schema was created with counters of its own.
		made := sq.Delete(c.Name).Where(countsKeys)
		if _, err := c.tx.Exec(ctx, made); err != nil {
			return read, err
		}
	}

	batches := make(chan *rowBatch, batchesAhead)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		defer close(batches)
		if read, err = c.read(ctx, batches); err != nil {
			err = c.source.sourceError("read the source's table "+c.Name, err)
		}
		return err
	})
	group.Go(func() error { return c.write(ctx, batches) })

	err = group.Wait()
	return read, err
}

// read sends all rows of the snapshot in batches and returns their sum.
func (c *tableCopy) read(ctx context.Context, batches chan<- *rowBatch) (sum rowSum, err error) {
	send := func(full *rowBatch) error {
		select {
		case batches <- full:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}

	next := &rowBatch{width: len(c.Columns)}
	err = eachRow(ctx, c.snapshot, unleasedRows(c.Table), len(c.Columns), func(row []any) error {
		if err := sum.add(row); err != nil {
			return err
		}
		next.add(row)
		if next.rows < batchRows && next.bytes < batchBytes {
			return nil
		}

		// The batch belongs to the writer now.
		full := next
		next = &rowBatch{width: len(c.Columns)}
		return send(full)
	})

	if err == nil && next.rows > 0 {
		err = send(next)
	}
	return sum, err
}

func (c *tableCopy) write(ctx context.Context, batches <-chan *rowBatch) error {
	written := int64(0)
	c.counted.at(c.Name, false, 0)
	for batch := range batches {
		if err := c.tx.BulkInsert(ctx, c.Name, c.Columns, batch.rows, batch.row); err != nil {
			return err
		}
		written += int64(batch.rows)
		c.counted.at(c.Name, false, written)
	}
	return nil
}

// eachRow passes the rows of a query to use one by one. The slice is reused for the next row.
func eachRow(ctx context.Context, q core.Queryer, query sq.Sqlizer, width int,
	use func(row []any) error) error {
	row, to := make([]any, width), make([]any, width)
	for i := range row {
		to[i] = &row[i]
	}

	return q.Stream(ctx, query, func(rows *sqlx.Rows) error {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		fillEmpty(row)
		return use(row)
	})
}

// fillEmpty keeps empty bytes apart from NULL: drivers take a nil slice for NULL.
func fillEmpty(row []any) {
	for i, value := range row {
		if raw, ok := value.([]byte); ok && raw == nil {
			row[i] = []byte{}
		}
	}
}

// rowBatch holds some rows, one behind the other.
type rowBatch struct {
	width, rows, bytes int
	values             []any
}

func (b *rowBatch) add(row []any) {
	b.values = append(b.values, row...)
	b.rows++
	for _, value := range row {
		if raw, ok := value.([]byte); ok {
			b.bytes += len(raw)
		}
	}
}

func (b *rowBatch) row(i int) []any { return b.values[i*b.width:][:b.width] }
