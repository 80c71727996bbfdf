package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// leaseRules checks the leases of uploads and shards.
func (a *Auditor) leaseRules(s scope) []rule {
	uploads := s.of(flawed("id", "0", "0", "token", "0"), "id").From("uploads")
	shards := s.kept(flawed("upload", "id", "0", "token", "0"), "upload").From("shards")
	return append(
		a.leaseRulesOf(uploads, sq.Eq{"state": []sqlrepo.UploadState{
			sqlrepo.Packing, sqlrepo.Complete, sqlrepo.Incomplete,
		}}),
		a.leaseRulesOf(shards, sq.NotEq{"state": sqlrepo.ShardPlanned})...)
}

// leaseRulesOf checks the leases of one table. The idle rows have no work left.
func (a *Auditor) leaseRulesOf(rows sq.SelectBuilder, idle sq.Sqlizer) []rule {
	torn := "(token = 0 AND COALESCE(worker, '') <> '' " +
		"OR token = 0 AND COALESCE(lease_began, lease_seen, lease_ends) IS NOT NULL " +
		"OR token <> 0 AND (worker IS NULL OR lease_began IS NULL OR lease_seen IS NULL OR lease_ends IS NULL))"
	absurd := sq.ConcatExpr("token <> 0 AND (lease_ends < lease_began OR lease_ends > ", a.db.At(schema.LongestLease), ")")
	return []rule{
		{FlawLeaseTorn, "its lease has a token without a worker or an end, or these without a token", rows.Where(torn)},
		{FlawLeaseTime, "its lease ends before it began, or more than 30 days from now", rows.Where(absurd)},
		{FlawLeaseIdle, "it has a lease, and nothing is left to do for it", rows.Where(idle).Where("token <> 0")},
	}
}
