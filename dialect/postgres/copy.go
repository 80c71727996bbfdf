package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/dialect"
)

// copyRows streams the rows with COPY, over the connection that the transaction holds. They go as text: then there is
// no need to ask the server for the types of the columns first:
// https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
func copyRows(ctx context.Context, tx *dialect.Tx, table string, columns []string, n int,
	row func(i int) []any) error {
	conn, err := tx.Conn(ctx)
	if err != nil {
		return err
	}

	err = onWire(conn, func(wire *pgx.Conn) error {
		if tracer, ok := wire.Config().Tracer.(pgx.CopyFromTracer); ok {
			tracer.TraceCopyFromStart(ctx, wire, pgx.TraceCopyFromStartData{TableName: pgx.Identifier{table},
				ColumnNames: columns})
		}

		tag, err := wire.PgConn().CopyFrom(ctx, &copyText{n: n, row: row}, copyStatement(table, columns))
		if err == nil && tag.RowsAffected() != int64(n) {
			err = fmt.Errorf("COPY into %s took %d of %d rows", table, tag.RowsAffected(), n)
		}
		return err
	})
	return blameContext(ctx, err)
}

func copyStatement(table string, columns []string) string {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = pgx.Identifier{column}.Sanitize()
	}
	return "copy " + pgx.Identifier{table}.Sanitize() + " (" + strings.Join(quoted, ", ") + ") from stdin"
}

// copyText reads as the rows, in COPY's text format.
type copyText struct {
	n, next int
	row     func(i int) []any
	line    []byte
	unread  []byte
}

// Read implements io.Reader.
func (c *copyText) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(c.unread) == 0 {
			if c.next == c.n {
				break
			}
			if c.line, err = appendRow(c.line[:0], c.row(c.next)); err != nil {
				return n, err
			}

			c.unread = c.line
			c.next++
		}
		taken := copy(p[n:], c.unread)
		c.unread = c.unread[taken:]
		n += taken
	}

	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func appendRow(line []byte, values []any) (_ []byte, err error) {
	for i, value := range values {
		if i > 0 {
			line = append(line, '\t')
		}
		if line, err = appendValue(line, value); err != nil {
			return line, err
		}
	}
	return append(line, '\n'), nil
}

func appendValue(line []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(line, `\N`...), nil
	case int64:
		return strconv.AppendInt(line, v, 10), nil
	case []byte:
		if v == nil {
			return append(line, `\N`...), nil
		}
		return hex.AppendEncode(append(line, `\\x`...), v), nil
	case string:
		return append(line, copyEscapes.Replace(v)...), nil
	}
	return line, fmt.Errorf("a value of type %T in a row to copy", value)
}

var copyEscapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
