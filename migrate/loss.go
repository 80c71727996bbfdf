package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrHoldsData is returned for migrations that would drop tables with rows.
var ErrHoldsData = errors.New("that would drop what the database holds")

// Loss is a table that would be dropped with its rows.
type Loss struct {
	Table string
	Rows  int64
}

// LossError lists what would be lost. It wraps ErrHoldsData.
type LossError struct{ Losses []Loss }

func (e *LossError) Error() string {
	return fmt.Sprintf("%v: %s; back the database up, then run it again with --destroy-data", ErrHoldsData,
		DescribeLosses(e.Losses))
}

func (e *LossError) Unwrap() error { return ErrHoldsData }

// DescribeLosses lists tables and their rows.
func DescribeLosses(losses []Loss) string {
	var parts []string
	for _, l := range losses {
		unit := "rows"
		if l.Rows == 1 {
			unit = "row"
		}
		parts = append(parts, fmt.Sprintf("%s (%d %s)", l.Table, l.Rows, unit))
	}
	return strings.Join(parts, ", ")
}

// bookkeeping is a table whose rows only number those of other tables. Without them it holds nothing.
const bookkeeping = "counters"

// findLosses counts the rows of the tables that scripts, run one after the other, would drop.
func findLosses(ctx context.Context, db *dialect.DB, scripts []string) (losses []Loss, err error) {
	for _, table := range dropped(scripts) {
		found, err := db.HasTable(ctx, table)
		if err != nil {
			return nil, err
		}
		if !found || table == bookkeeping {
			continue
		}

		rows, err := countRows(ctx, db, table)
		if err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", table, err)
		}

		if rows > 0 {
			losses = append(losses, Loss{table, rows})
		}
	}
	return losses, nil
}

// countRows counts the rows of one of the migrations' own tables, whose names need no quotes.
func countRows(ctx context.Context, db *dialect.DB, table string) (rows int64, err error) {
	text, args, err := sq.Select("COUNT(*)").From(table).ToSql()
	if err != nil {
		return 0, err
	}
	err = db.Writer.GetContext(ctx, &rows, text, args...)
	return rows, err
}

// The statements that make, move or drop whole tables.
var (
	createTable = regexp.MustCompile(`(?i)^CREATE (?:\w+ )*TABLE (?:IF NOT EXISTS )?([\w."]+)`)
	renameTable = regexp.MustCompile(`(?i)^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?([\w."]+) RENAME TO ([\w."]+)`)
	insertTable = regexp.MustCompile(`(?i)^INSERT INTO ([\w."]+)`)
	copiedFrom  = regexp.MustCompile(`(?i)\bFROM ([\w."]+)`)
	dropTable   = regexp.MustCompile(`(?i)^DROP TABLE (?:IF EXISTS )?([\w.", ]+?)(?: CASCADE| RESTRICT)?$`)
)

// dropped returns the tables whose rows the scripts lose. Migrations also drop tables to rebuild them: a table
// whose rows were copied before is not lost.
func dropped(scripts []string) []string {
	contents := contents{map[string]string{}, map[string]bool{}}
	var lost []string
	for _, script := range scripts {
		for _, s := range split(script) {
			lost = append(lost, contents.follow(s.plain)...)
		}
	}
	slices.Sort(lost)
	return slices.Compact(lost)
}

// contents follows the rows of tables as statements move them.
type contents struct {
	// origins maps each table to the table whose rows it has now, "" for none. A table that is not in the map has
	// its own rows.
	origins map[string]string
	copied  map[string]bool
}

func (c contents) of(table string) string {
	if origin, known := c.origins[table]; known {
		return origin
	}
	return table
}

// follow applies a statement and returns the tables whose rows it drops.
func (c contents) follow(statement string) (lost []string) {
	// A new table has no rows.
	if m := createTable.FindStringSubmatch(statement); m != nil {
		c.origins[bare(m[1])] = ""
	}

	// The rows move with the name.
	if m := renameTable.FindStringSubmatch(statement); m != nil {
		from, to := bare(m[1]), bare(m[2])
		c.origins[to], c.copied[to] = c.of(from), c.copied[from]
		c.origins[from], c.copied[from] = "", false
	}

	if m := insertTable.FindStringSubmatch(statement); m != nil {
		// Rows that were copied survive when one of the tables is dropped.
		for _, from := range copiedFrom.FindAllStringSubmatch(statement, -1) {
			c.copied[bare(from[1])] = true
			if to := bare(m[1]); c.of(to) == "" {
				c.origins[to], c.copied[to] = c.of(bare(from[1])), false
			}
		}
	}

	if m := dropTable.FindStringSubmatch(statement); m != nil {
		for table := range strings.SplitSeq(m[1], ",") {
			name := bare(table)
			if origin := c.of(name); origin != "" && !c.copied[name] {
				lost = append(lost, origin)
			}
			c.origins[name], c.copied[name] = "", false
		}
	}
	return lost
}

// bare returns a table's name without its schema and quotes.
func bare(name string) string {
	name = strings.ReplaceAll(strings.TrimSpace(name), `"`, "")
	return name[strings.LastIndex(name, ".")+1:]
}
