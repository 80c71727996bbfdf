package migrate

import (
	"context"
	"errors"
	"io"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// driver looks like a database to golang-migrate but is one transaction. The drivers of golang-migrate commit three
// times for each migration: the version with the dirty mark, the script, and the version without the mark. With
// driver the three become visible together, or not at all.
type driver struct {
	ctx  context.Context //nolint:containedctx // the interface passes none
	tx   *sqlx.Tx
	conn *sqlx.Conn // the connection of tx
	db   *dialect.DB
}

// Run executes a migration's script.
func (d *driver) Run(migration io.Reader) error {
	script, err := io.ReadAll(migration)
	if err != nil {
		return err
	}
	return runScript(d.ctx, d.db, d.conn, string(script))
}

// SetVersion replaces the row of the version table. Version 0 means no row.
func (d *driver) SetVersion(version int, dirty bool) error {
	if _, err := d.tx.ExecContext(d.ctx, "DELETE FROM "+versionTable); err != nil {
		return err
	}
	if version == database.NilVersion {
		return nil
	}
	insert := d.tx.Rebind("INSERT INTO " + versionTable + " (version, dirty) VALUES (?, ?)")
	_, err := d.tx.ExecContext(d.ctx, insert, version, dirty)
	return err
}

// Version reads the row of the version table.
func (d *driver) Version() (version int, dirty bool, err error) {
	r, found, err := selectRecord(d.ctx, d.tx)
	if err != nil || !found {
		return database.NilVersion, false, err
	}
	return int(r.Version), r.Dirty, nil
}

// Lock does nothing: the session holds the lock.
func (d *driver) Lock() error { return nil }

// Unlock does nothing, as Lock.
func (d *driver) Unlock() error { return nil }

// Close does nothing: the session ends the transaction.
func (d *driver) Close() error { return nil }

// Open is not supported.
func (d *driver) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop is not supported.
func (d *driver) Drop() error { return errors.ErrUnsupported }
