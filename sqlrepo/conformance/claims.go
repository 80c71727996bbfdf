package conformance

import (
	"errors"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func claims() []test {
	return []test{
		{"take shards in order", claimInOrder},
		{"take no shard twice", claimOnce},
		{"take over from an earlier run", claimFromEarlierRun},
		{"wait for their turn at one shard", claimLast},
	}
}

func claimInOrder(f *fixture) {
	run, other := f.newRun(), f.newRun()
	_, err := f.ClaimShard(f.ctx, run)
	f.fails(err, sqlrepo.ErrNothingToClaim)
	shards := f.plan(run, planned(2), planned(0), planned(1))
	f.plan(other, planned(0))
	f.ok(f.SaveLinks(f.ctx, run, sqlrepo.LinkBatch{Shards: []sqlrepo.PackedShard{packed(sqlrepo.Shard{Ordinal: 3})}}))
	for _, i := range []int{1, 2, 0} {
		want := shards[i].Shard
		want.State, want.Token = sqlrepo.ShardPacking, run.Upload.Token
		equal(f.t, "claim", must(f.ClaimShard(f.ctx, run))(f.t), want)
	}
	_, err = f.ClaimShard(f.ctx, run)
	f.fails(err, sqlrepo.ErrNothingToClaim)
}

func claimOnce(f *fixture) {
	const shards, workers = 1000, 2
	run := f.newRun()
	var plan []sqlrepo.PlannedShard
	for ordinal := range int64(shards) {
		plan = append(plan, planned(ordinal))
	}
	f.plan(run, plan...)
	claimed := make([][]int64, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() { claimed[worker] = f.claimAll(run) })
	}
	group.Wait()
	by := map[int64]int{}
	for worker, ordinals := range claimed {
		for _, ordinal := range ordinals {
			if other, taken := by[ordinal]; taken {
				f.t.Errorf("shard %d was claimed by %d and %d", ordinal, other, worker)
			}
			by[ordinal] = worker
		}
	}
	equal(f.t, "claimed", len(by), shards)
}

// claimAll claims until nothing is left.
func (f *fixture) claimAll(run sqlrepo.Run) (ordinals []int64) {
	for {
		shard, err := f.ClaimShard(f.ctx, run)
		if err != nil {
			if !errors.Is(err, sqlrepo.ErrNothingToClaim) {
				f.t.Error(err)
			}
			return ordinals
		}
		ordinals = append(ordinals, shard.Ordinal)
	}
}

func claimFromEarlierRun(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	f.plan(first, planned(0), planned(1), planned(2))
	f.ok(f.SavePacked(f.ctx, first, packed(must(f.ClaimShard(f.ctx, first))(f.t))))
	must(f.ClaimShard(f.ctx, first))(f.t)
	second := f.begin(source)
	for _, ordinal := range []int64{1, 2} {
		shard := must(f.ClaimShard(f.ctx, second))(f.t)
		equal(f.t, "ordinal", shard.Ordinal, ordinal)
		equal(f.t, "token", shard.Token, second.Upload.Token)
	}
	_, err := f.ClaimShard(f.ctx, second)
	f.fails(err, sqlrepo.ErrNothingToClaim)
}

func claimLast(f *fixture) {
	run := f.newRun()
	for ordinal := range int64(20) {
		f.plan(run, planned(ordinal))
		var group sync.WaitGroup
		claimed := make([][]int64, 4)
		for worker := range claimed {
			group.Go(func() { claimed[worker] = f.claimAll(run) })
		}
		group.Wait()
		n := 0
		for _, ordinals := range claimed {
			n += len(ordinals)
		}
		equal(f.t, "claims", n, 1)
	}
}
