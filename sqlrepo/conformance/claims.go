package conformance

import (
	"errors"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func claims() []test {
	return []test{
		{"take shards in order", claimInOrder},
		{"take shards below a limit", claimBelow},
		{"take shards while they are packed", claimWhilePacking},
		{"take no shard twice", claimOnce},
		{"take over from an earlier run", claimFromEarlierRun},
		{"wait for their turn at one shard", claimLast},
	}
}

func claimInOrder(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	f.noShard(stage)
	f.dag(stage, 3)
	shards := f.toPack(stage, planned(0), planned(1), planned(2))

	f.toPack(other, planned(0))
	for i := range shards {
		want, got := shards[i].Shard, f.shard(stage)
		want.Lease = sqlrepo.Lease{
			Token: got.Token, Worker: "worker", Began: sqlrepo.NewTime(f.now), Seen: sqlrepo.NewTime(f.now),
			Ends: sqlrepo.NewTime(f.now.Add(term)),
		}

		equal(f.t, "claim", got, want)
		if got.Token == 0 {
			f.t.Error("a claim without a token")
		}
	}

	f.noShard(stage)
}

// claimBelow checks the limit that a caller sets on how far shards are packed before others are sealed.
func claimBelow(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1), planned(5))

	below := func(limit, want int64) {
		f.t.Helper()
		shard, err := f.ClaimShard(f.ctx, claim("worker"), stage.Upload.ID, limit)
		if want < 0 {
			f.fails(err, sqlrepo.ErrNothingToClaim)
			return
		}
		f.ok(err)
		equal(f.t, "ordinal", shard.Ordinal, want)
	}

	below(0, -1)
	below(2, 0)
	below(2, 1)
	below(2, -1)
	below(5, -1)
	below(6, 5)
}

func claimWhilePacking(f *fixture) {
	stage := f.newStage()
	f.noShard(must(f.reach(stage, sqlrepo.Linking))(f.t))

	stage = f.newStage()
	f.plan(stage, planned(0))
	f.noShard(stage)
	stage = must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	f.noShard(stage)

	f.packing(stage)
	_, err := f.ClaimStage(f.ctx, claim("worker"), stage.Upload.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)

	f.shard(stage)
	_, err = f.ClaimShard(f.ctx, claim("worker"), stage.Upload.ID+1, unlimited)
	f.fails(err, sqlrepo.ErrNothingToClaim)
}

func claimOnce(f *fixture) {
	const shards, workers = 500, 4

	stage := f.newStage()
	plan := make([]sqlrepo.PlannedShard, shards)
	for ordinal := range plan {
		plan[ordinal] = planned(int64(ordinal))
	}

	f.toPack(stage, plan...)
	claimed := make([][]int64, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() { claimed[worker] = f.claimAll(stage) })
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

// claimAll claims shards until none are left.
func (f *fixture) claimAll(stage sqlrepo.Stage) (ordinals []int64) {
	for {
		shard, err := f.ClaimShard(f.ctx, claim("worker"), stage.Upload.ID, unlimited)
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
	f.toPack(first, planned(0), planned(1), planned(2))
	f.sealed(packed(f.shard(first)))
	f.shard(first)

	// The new run takes over the shards that the earlier one has not sealed.
	second := f.again(source)
	f.noShard(second)
	f.packing(second)

	for _, ordinal := range []int64{1, 2} {
		shard := f.shard(second)
		equal(f.t, "ordinal", shard.Ordinal, ordinal)
		equal(f.t, "attempts", shard.Attempts, 0)
	}

	f.noShard(second)
}

func claimLast(f *fixture) {
	for range 20 {
		stage := f.newStage()
		f.toPack(stage, planned(0))
		var group sync.WaitGroup
		claimed := make([][]int64, 4)
		for worker := range claimed {
			group.Go(func() { claimed[worker] = f.claimAll(stage) })
		}
		group.Wait()

		n := 0
		for _, ordinals := range claimed {
			n += len(ordinals)
		}

		equal(f.t, "claims", n, 1)
	}
}
