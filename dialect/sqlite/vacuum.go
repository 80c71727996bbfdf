package sqlite

import (
	"context"

	"github.com/guppy-prep/guppy/dialect"
)

// Vacuum copies the rows into a new file. The copy goes through the log of changes, which becomes as long as the
// file.
func (Engine) Vacuum(ctx context.Context, db *dialect.DB) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.Writer.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
