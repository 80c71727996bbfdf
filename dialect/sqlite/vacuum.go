package sqlite

import (
	"context"

	"github.com/guppy-prep/guppy/dialect"
)

// Vacuum copies the rows into a new file, by way of the log of changes, which is as long then.
func (Engine) Vacuum(ctx context.Context, db *dialect.DB) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.Writer.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
