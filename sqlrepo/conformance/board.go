package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func boards() []test {
	return []test{
		{"list what is open", openUploads},
		{"narrow the list", openUploadsFiltered},
		{"list shards under way", shardsUnderWay},
	}
}

// todo is what a board shows of an upload.
type todo struct {
	upload    int64
	claimable bool
	next      int64
}

func (f *fixture) board(filter sqlrepo.OpenFilter) (list []todo) {
	f.t.Helper()
	for _, open := range must(f.OpenUploads(f.ctx, filter))(f.t) {
		equal(f.t, "upload", open.Upload, must(f.Upload(f.ctx, open.ID))(f.t))
		equal(f.t, "space", open.Space, must(f.Source(f.ctx, open.Source))(f.t).Space)
		equal(f.t, "now", open.Now, sqlrepo.NewTime(f.now))

		next := int64(-1)
		if open.NextShard != nil {
			next = *open.NextShard
		}

		list = append(list, todo{open.ID, open.Claimable, next})
	}
	return list
}

func openUploads(f *fixture) {
	stage := f.newStage()
	id := stage.Upload.ID
	f.complete(f.newStage())
	is := func(claimable bool, next int64) {
		f.t.Helper()
		equal(f.t, "board", f.board(sqlrepo.OpenFilter{}), []todo{{id, claimable, next}})
	}

	is(false, -1)
	f.expire()
	is(true, -1)

	stage = f.stage(stage.Upload)
	f.plan(stage, planned(0), planned(1), planned(2), planned(3))
	is(false, -1)
	f.packing(stage)
	is(false, 0)

	// Shards that are claimed, wait after a failure or are set aside are passed over.
	first, second := f.shard(stage), f.shard(stage)
	is(false, 2)

	f.expire()
	f.ok(f.Fail(f.ctx, first, "reason", sqlrepo.LongestPause))
	is(false, 1)
	f.ok(f.SetAside(f.ctx, second, "reason"))
	is(false, 2)
	f.expire()
	is(false, 0)

	f.sealed(packed(f.shard(stage)))
	is(false, 2)
	f.sealed(packed(f.shard(stage)))
	is(false, 3)
	f.sealed(packed(f.shard(stage)))
	is(false, -1)
}

func openUploadsFiltered(f *fixture) {
	space, other := f.space(), f.space()

	a, b, c := f.newStage(), f.begin(f.source(space)), f.begin(f.source(other))
	f.ok(f.Release(f.ctx, b))
	must(f.Advance(f.ctx, must(f.reach(c, sqlrepo.Rescanning))(f.t), sqlrepo.Incomplete))(f.t)
	todoA, todoB, todoC := todo{a.Upload.ID, false, -1}, todo{b.Upload.ID, true, -1}, todo{c.Upload.ID, false, -1}

	for _, list := range []struct {
		filter sqlrepo.OpenFilter
		want   []todo
	}{
		{sqlrepo.OpenFilter{}, []todo{todoA, todoB, todoC}},
		{sqlrepo.OpenFilter{Spaces: []int64{}}, nil},
		{sqlrepo.OpenFilter{Uploads: []int64{}}, nil},
		{sqlrepo.OpenFilter{Spaces: []int64{space.ID, other.ID}}, []todo{todoB, todoC}},
		{sqlrepo.OpenFilter{Uploads: []int64{a.Upload.ID, c.Upload.ID, 1000}}, []todo{todoA, todoC}},
		{sqlrepo.OpenFilter{Spaces: []int64{other.ID}, Uploads: []int64{a.Upload.ID, c.Upload.ID}}, []todo{todoC}},
	} {
		equal(f.t, "board", f.board(list.filter), list.want)
	}
}

func shardsUnderWay(f *fixture) {
	stage := f.newStage()
	f.dag(stage, 5)
	f.toPack(stage, planned(0), planned(1), planned(2), planned(3), planned(4))
	f.sealed(packed(f.shard(stage)))

	aside, claimed, failed := f.shard(stage), f.shard(stage), f.shard(stage)
	f.ok(f.SetAside(f.ctx, aside, "damaged"))
	f.ok(f.Fail(f.ctx, failed, "failed", term))
	f.ok(f.Renew(f.ctx, claimed, term, 100))

	got := must(f.ShardsUnderWay(f.ctx, stage.Upload.ID))(f.t)
	equal(f.t, "shards", got, f.shards(stage)[1:4])
	equal(f.t, "progress", got[1].Progress, 100)
}
