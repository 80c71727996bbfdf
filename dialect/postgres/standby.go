package postgres

import (
	"context"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// Standing implements dialect.Follower. A role needs no privileges for it: of the receiver, everybody sees the number
// of its process. A server whose standbys share its storage has no receiver.
func (Engine) Standing(ctx context.Context, db *dialect.DB) (standing dialect.Standing, err error) {
	var applied bool
	var seconds float64
	err = db.Reader.QueryRowxContext(ctx, `SELECT pg_is_in_recovery(), EXISTS (SELECT 1 FROM pg_stat_wal_receiver),
		COALESCE(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(), FALSE),
		COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()), -1)::float8`).
		Scan(&standing.Follows, &standing.Receives, &applied, &seconds)
	if err != nil || !standing.Follows {
		return dialect.Standing{}, err
	}

	standing.Behind = time.Duration(seconds * float64(time.Second))
	if standing.Receives && applied {
		standing.Behind = 0
	}
	return standing, nil
}
