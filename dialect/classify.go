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
	// MissingReference is a row that refers to none, or one that others still refer to.
	MissingReference
	// Conflict is a transaction that lost against another one; the same transaction may succeed when run again.
	Conflict
	// Unavailable is a database that can't be reached or used now; it may come back.
	Unavailable
	// Unusable is a database that can't be used as it is: read-only, no permission, full, damaged, not a database.
	Unusable
)

// ConnectionLost reports the failures that are the same with every driver. Not every net.Error is one: any error number
// of the operating system satisfies that interface.
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
