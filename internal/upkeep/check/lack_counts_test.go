package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// TestARepairCountsWhatReplicasLack repairs wrong counts, and rows that replicas count.
func TestARepairCountsWhatReplicasLack(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		origin := f.register(f.job.Store, "origin")
		_, err := f.repo.AddStore(t.Context(), sqlrepo.Store{Identity: "second", Name: "second", URL: "file:///second/"})
		must(t, err)
		must(t, f.repo.SetReplica(t.Context(), "second", origin))
		f.sound("with a replica")

		for _, damage := range []damage{
			sql("replica-counts", "UPDATE replicas SET due_bytes = due_bytes + 1"),
			sql("index-fields", "UPDATE indexes SET layout = '' WHERE id = 1"),
			sql("shard-fields", "UPDATE shards SET digest = NULL WHERE id = 1"),
		} {
			damage.do(f)
			if found := codes(f.problems()); !slices.Contains(found, damage.code) {
				t.Errorf("found %q", found)
			}
			checker, err := checktest.Checker(f, f.repo, f.dir)
			must(t, err)
			changes, err := f.repairIn(checker, false)
			must(t, err)
			did := strings.Join(changes, "; ")
			f.sound("after " + did)
			if damage.code == audit.FlawReplicaCounts && did != "what replicas lack was counted" {
				t.Errorf("it did: %s", did)
			}
		}
	})
}
