package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// versionTable is where golang-migrate's tools look for the version. It has at most one row.
const (
	versionTable       = "schema_migrations"
	createVersionTable = "CREATE TABLE " + versionTable + " (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)"
)

// record is the row of the version table. Other tools may write version -1 for none.
type record struct {
	Version int64
	Dirty   bool
}

// readRecord distinguishes a missing record from one that can't be read.
func readRecord(ctx context.Context, db *dialect.DB) (record, bool, error) {
	found, err := db.HasTable(ctx, versionTable)
	if err != nil || !found {
		return record{}, false, err
	}
	return selectRecord(ctx, db.Writer)
}

func selectRecord(ctx context.Context, from sqlx.QueryerContext) (r record, found bool, err error) {
	err = sqlx.GetContext(ctx, from, &r, "SELECT version, dirty FROM "+versionTable)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, false, nil
	}
	return r, err == nil, err
}

func readStatus(ctx context.Context, db *dialect.DB, all list) (Status, error) {
	r, found, err := readRecord(ctx, db)
	if err != nil {
		return Status{}, fmt.Errorf("read the schema version of %s: %w", db.Describe(), err)
	}
	return statusOf(r, found, all), nil
}

func statusOf(r record, found bool, all list) Status {
	current := uint(max(r.Version, 0))
	n := all.upTo(current)
	return Status{
		Current:  current,
		Required: all.required(),
		Dirty:    r.Dirty,
		Empty:    !found,
		Applied:  all[:n].migrations(),
		Pending:  all[n:].migrations(),
	}
}

func (s Status) unchanged() Result { return Result{From: s.Current, To: s.Current} }

// unfit returns the reason why no migration may start from this status, if there is one.
func (s Status) unfit() error {
	switch {
	case s.Dirty:
		return s.refuse(ErrDirty)
	case s.Current > s.Required:
		return s.refuse(ErrNewer)
	}
	return nil
}

func (s Status) refuse(reason error) error {
	return &RefusedError{Reason: reason, Current: s.Current, Required: s.Required, Hint: s.hint(reason)}
}
