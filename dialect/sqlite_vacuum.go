package dialect

import "context"

// sqliteVacuum copies the rows into a new file, by way of the log of changes, which is as long then.
func sqliteVacuum(ctx context.Context, db *DB) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.Writer.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
