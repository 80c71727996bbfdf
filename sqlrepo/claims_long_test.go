//go:build long

package sqlrepo_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestNoUnitIsClaimedTwice has two claimers take 10,000 shards, each of them through its own connections.
func TestNoUnitIsClaimedTwice(t *testing.T) {
	const uploads, shards = 100, 100
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		first := sqlrepo.New(db)
		ids := manyPlanned(t, first, uploads, shards)
		second := sqlrepo.New(enginetest.MustOpen(t, db.Settings))
		taken := make([]map[int64]bool, 2)
		var claimers sync.WaitGroup
		for i, repo := range []*sqlrepo.Repository{first, second} {
			claimers.Go(func() { taken[i] = claimAll(t, repo, fmt.Sprint("claimer ", i), ids) })
		}
		claimers.Wait()
		for shard := range taken[0] {
			if taken[1][shard] {
				t.Errorf("shard %d was claimed twice", shard)
			}
		}
		if n := len(taken[0]) + len(taken[1]); n != uploads*shards {
			t.Errorf("%d shards were claimed", n)
		}
		if len(taken[0]) == 0 || len(taken[1]) == 0 {
			t.Error("one claimer took everything")
		}
	})
}

// claimAll claims until nothing is left, and fails the test when it is given a shard twice.
func claimAll(t *testing.T, repo *sqlrepo.Repository, worker string, uploads []int64) map[int64]bool {
	taken := map[int64]bool{}
	for _, upload := range uploads {
		for {
			shard, err := repo.ClaimShard(t.Context(), sqlrepo.Claim{Worker: worker, Term: time.Hour}, upload, math.MaxInt64)
			if errors.Is(err, sqlrepo.ErrNothingToClaim) {
				break
			}
			if err != nil {
				t.Error(err)
				return taken
			}
			if taken[shard.ID] {
				t.Errorf("shard %d was claimed twice by %s", shard.ID, worker)
			}
			taken[shard.ID] = true
		}
	}
	return taken
}
