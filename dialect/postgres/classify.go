package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// Classify goes by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func (Engine) Classify(err error) dialect.Class {
	switch {
	case errors.Is(err, dialect.ErrLockLost):
		return dialect.Other // whatever the reason
	case errors.Is(err, errLockUnsure):
		return dialect.Conflict
	case errors.Is(err, errPoolTooSmall):
		return dialect.Unusable
	}

	var server *pgconn.PgError
	if !errors.As(err, &server) {
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
			dialect.ConnectionLost(err) {
			return dialect.Unavailable
		}
		return dialect.Other
	}

	switch code := server.Code; {
	case code == "23505":
		return dialect.Exists
	case code == "23503":
		return dialect.MissingReference
	case code == serializationFailure || code == "40P01" || code == "55P03":
		return dialect.Conflict
	case code == "25006" || code == "25P03" || code == queryCanceled || strings.HasPrefix(code, "08") ||
		strings.HasPrefix(code, "57P") || code == "53300":
		return dialect.Unavailable
	case strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D") || strings.HasPrefix(code, "53") ||
		strings.HasPrefix(code, "58") || strings.HasPrefix(code, "XX") || code == "42501":
		return dialect.Unusable
	}
	return dialect.Other
}
