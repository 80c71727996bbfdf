package dialect

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// classifyPostgres goes by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func classifyPostgres(err error) Class {
	switch {
	case errors.Is(err, ErrLockLost):
		return Other // whatever ended the session
	case errors.Is(err, errLockUnsure):
		return Conflict
	case errors.Is(err, errPoolTooSmall):
		return Unusable
	}
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
			connectionLost(err) {
			return Unavailable
		}
		return Other
	}
	switch code := server.Code; {
	case code == "23505":
		return Exists
	case code == "23503":
		return MissingReference
	case code == "40001" || code == "40P01" || code == "55P03":
		return Conflict
	case code == "25006" || code == "25P03" || code == queryCanceled || strings.HasPrefix(code, "08") ||
		strings.HasPrefix(code, "57P") || code == "53300":
		return Unavailable
	case strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D") || strings.HasPrefix(code, "53") ||
		strings.HasPrefix(code, "58") || strings.HasPrefix(code, "XX") || code == "42501":
		return Unusable
	}
	return Other
}
