package dialect

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
)

// Class sorts the errors of all drivers by what a caller can do about them.
type Class int

// The classes of errors.
const (
	// Other errors are final.
	Other Class = iota
	// Exists is a row that violates a unique key.
	Exists
	// MissingReference is a row that refers to a missing row, or a row that others still refer to.
	MissingReference
	// Conflict is a transaction that lost against another one. The same transaction may succeed when it is run
	// again.
	Conflict
	// Unavailable is a database that can't be reached or used now, but may come back.
	Unavailable
	// Unusable is a database that can't be used in its present state: read-only, no permission, full, damaged, not a
	// database.
	Unusable
)

// ConnectionLost reports whether an error means a lost connection, for the errors that all drivers share. It does
// not accept every net.Error: any error number of the operating system satisfies that interface.
func ConnectionLost(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var operation *net.OpError
	var lookup *net.DNSError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &operation) ||
		errors.As(err, &lookup)
}
