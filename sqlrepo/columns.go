package sqlrepo

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// columnBytes copies a binary column, which drivers return as []byte or string.
func columnBytes(column any) ([]byte, error) {
	switch value := column.(type) {
	case nil:
		return nil, nil
	case []byte:
		return append([]byte{}, value...), nil
	case string:
		return []byte(value), nil
	}
	return nil, fmt.Errorf("a column of type %T where bytes were expected", column)
}

// CID is a content identifier as a column: its binary form, NULL if it is undefined.
type CID struct{ cid.Cid }

// Value returns the binary form.
func (c CID) Value() (driver.Value, error) {
	if !c.Defined() {
		return nil, nil
	}
	return c.Bytes(), nil
}

// Scan reads what Value stored and rejects anything but a whole CID.
func (c *CID) Scan(column any) error {
	raw, err := columnBytes(column)
	if err != nil || raw == nil {
		*c = CID{}
		return err
	}
	parsed, err := cid.Cast(raw)
	if err != nil {
		return fmt.Errorf("CID column: %w", err)
	}
	*c = CID{parsed}
	return nil
}

// String returns the CID in its usual base, "" if it is undefined.
func (c CID) String() string {
	if !c.Defined() {
		return ""
	}
	return c.Cid.String()
}

// Digest is a sha2-256 digest.
type Digest [32]byte

// DID is a decentralised identifier, such as "did:key:z6Mk...", stored as text.
type DID string

// Value returns the text and rejects anything but a DID.
func (d DID) Value() (driver.Value, error) {
	if !strings.HasPrefix(string(d), "did:") {
		return nil, fmt.Errorf("%q is not a DID", string(d))
	}
	return string(d), nil
}

// Scan reads what Value stored.
func (d *DID) Scan(column any) error {
	raw, err := columnBytes(column)
	if err == nil && !strings.HasPrefix(string(raw), "did:") {
		err = fmt.Errorf("%q is not a DID", raw)
	}
	*d = DID(raw)
	return err
}

// Time is an instant in UTC, to the microsecond, stored as microseconds since 1970. The zero time is NULL.
type Time struct{ time.Time }

// NewTime truncates an instant to the precision of the column.
func NewTime(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// Value returns microseconds since 1970.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UnixMicro(), nil
}

// Scan reads what Value stored.
func (t *Time) Scan(column any) error {
	switch value := column.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{time.UnixMicro(value).UTC()}
	default:
		return fmt.Errorf("a column of type %T where microseconds were expected", column)
	}
	return nil
}
