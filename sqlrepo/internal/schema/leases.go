package schema

import (
	"time"

	sq "github.com/Masterminds/squirrel"
)

// LeaseColumns are the columns of a lease except its token.
var LeaseColumns = []string{"worker", "lease_began", "lease_seen", "lease_ends", "progress", "attempts", "retry_at",
	"set_aside_at", "error"}

// LongestLease is longer than the lease of any worker.
const LongestLease = 30 * 24 * time.Hour

// free are the columns of a lease with their values while no worker has the work.
var free = []struct {
	column string
	value  any
}{
	{"token", 0}, {"worker", nil}, {"lease_began", nil}, {"lease_seen", nil}, {"lease_ends", nil}, {"progress", 0},
}

// Free makes an update clear a lease.
func Free(update sq.UpdateBuilder) sq.UpdateBuilder {
	for _, f := range free {
		update = update.Set(f.column, f.value)
	}
	return update
}

// Settled makes an update clear the lease on work that is done, and the record of earlier failures.
func Settled(update sq.UpdateBuilder) sq.UpdateBuilder {
	return Free(update).Set("attempts", 0).Set("retry_at", nil).Set("error", nil)
}

// Unleased are the fields of a SELECT that reads columns as if no work were claimed.
func Unleased(columns []string) []string {
	fields := append([]string{}, columns...)
	for i, column := range columns {
		for _, f := range free {
			switch {
			case f.column != column:
			case f.value == nil:
				fields[i] = "NULL AS " + column
			default:
				fields[i] = "0 AS " + column
			}
		}
	}
	return fields
}

// Ended matches leases that have ended. It also matches leases that were last seen longer than their term from now:
// the clock has stepped back since, and such a lease would end later than any other can. A worker that still works
// under it renews it, or loses it at worst.
func Ended(now sq.Sqlizer) sq.Sqlizer {
	return sq.Or{sq.ConcatExpr("lease_ends < ", now), sq.ConcatExpr(seenTooLate+" > ", now)}
}

// Live matches leases that have not ended.
func Live(now sq.Sqlizer) sq.Sqlizer {
	return sq.And{sq.NotEq{"token": 0}, sq.ConcatExpr("lease_ends >= ", now),
		sq.ConcatExpr(seenTooLate+" <= ", now)}
}

// seenTooLate is a time in the future if a lease was last seen longer than its term from now.
const seenTooLate = "COALESCE(lease_seen - (lease_ends - lease_seen), 0)"
