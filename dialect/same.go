package dialect

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"

	"github.com/jmoiron/sqlx"
)

// Same tells whether two handles lead to one database, by whatever names.
func Same(ctx context.Context, a, b *DB) (bool, error) {
	if err := ctx.Err(); err != nil || a.Name != b.Name {
		return false, err
	}
	return a.same(ctx, a, b)
}

func sqliteSame(_ context.Context, a, b *DB) (bool, error) {
	var infos [2]os.FileInfo
	for i, db := range []*DB{a, b} {
		file, err := sqliteFile(db.Settings)
		if err != nil {
			return false, err
		}
		if infos[i], err = os.Stat(file); err != nil {
			return false, err
		}
	}
	return os.SameFile(infos[0], infos[1]), nil
}

// postgresSame locks a number that nobody else has in mind: only in the same database another transaction can't. Two
// schemas in it are two databases.
func postgresSame(ctx context.Context, a, b *DB) (same bool, err error) {
	first, err := a.Reader.BeginTxx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, first.Rollback()) }()
	number, schema := rand.Int64(), ""
	if err := sqlx.GetContext(ctx, first, &schema, "SELECT COALESCE(current_schema(), '')"); err != nil {
		return false, err
	}
	if _, err := first.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", number); err != nil {
		return false, err
	}
	err = b.Reader.GetContext(ctx, &same,
		"SELECT NOT pg_try_advisory_xact_lock($1) AND COALESCE(current_schema(), '') = $2", number, schema)
	return same, err
}
