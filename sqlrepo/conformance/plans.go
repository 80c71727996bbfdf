package conformance

import (
	"fmt"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func plans() []test {
	return []test{
		{"are made of what is not planned", unplanned},
		{"cover many files", unplannedPages},
		{"go on where they stopped", planTail},
		{"go on inside a file", planTailPartial},
		{"give shards their keys", planKeys},
		{"are atomic", planIsAtomic},
		{"list shards by state", listShards},
		{"know the largest file", largestFile},
	}
}

func unplanned(f *fixture) {
	run := f.newRun()
	states := []sqlrepo.Entry{directory(""), file("changed", 1), file("elsewhere", 1), file("empty", 0), file("failed", 1),
		entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("x")}), file("planned", 1),
		file("ready", 1), file("rescanned", 1), file("unsupported", 1)}
	states[1].State, states[2].Origin, states[4].State = sqlrepo.Changed, 100, sqlrepo.Failed
	states[8].State, states[9].State = sqlrepo.Rescanned, sqlrepo.Unsupported
	added := f.add(run, states...)
	f.add(f.newRun(), file("another", 1))
	f.plan(run, planned(0, sqlrepo.Segment{Entry: added[6].ID, Length: 1}))
	got := collect(f.t, f.Unplanned(f.ctx, run.Upload.ID))
	equal(f.t, "unplanned", got, []sqlrepo.PlanFile{planFile(added[3]), planFile(added[7]), planFile(added[8])})
}

func planFile(e sqlrepo.Entry) sqlrepo.PlanFile {
	return sqlrepo.PlanFile{ID: e.ID, Path: e.Path, Size: e.Size}
}

func unplannedPages(f *fixture) {
	run := f.newRun()
	added := f.add(run, many(5000)...)
	var segments []sqlrepo.Segment
	var want []string
	for i, file := range added {
		if i%5 == 0 {
			segments = append(segments, sqlrepo.Segment{Entry: file.ID, Length: file.Size})
		} else {
			want = append(want, file.Path.String())
		}
	}
	f.plan(run, planned(0, segments...))
	equal(f.t, "unplanned", unplannedPaths(f, run), want)
}

func unplannedPaths(f *fixture, run sqlrepo.Run) (paths []string) {
	for _, file := range collect(f.t, f.Unplanned(f.ctx, run.Upload.ID)) {
		paths = append(paths, file.Path.String())
	}
	return paths
}

func planTail(f *fixture) {
	run, other := f.newRun(), f.newRun()
	equal(f.t, "empty", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), sqlrepo.PlanTail{})
	files := f.add(run, file("a", 700), file("b", 0))
	f.plan(run, planned(0, sqlrepo.Segment{Entry: files[0].ID, Length: 700}),
		planned(1, sqlrepo.Segment{Entry: files[1].ID}))
	equal(f.t, "planned", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 2})
	f.ok(f.SaveLinks(f.ctx, run, sqlrepo.LinkBatch{Shards: []sqlrepo.PackedShard{packed(sqlrepo.Shard{Ordinal: 2})}}))
	equal(f.t, "linked", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 3})
	equal(f.t, "next", must(f.NextOrdinal(f.ctx, run.Upload.ID))(f.t), 3)
	equal(f.t, "other", must(f.NextOrdinal(f.ctx, other.Upload.ID))(f.t), 0)
}

func planTailPartial(f *fixture) {
	run := f.newRun()
	files := f.add(run, file("a", 700), file("big", 3000))
	f.plan(run, planned(0, sqlrepo.Segment{Entry: files[0].ID, Length: 700},
		sqlrepo.Segment{Entry: files[1].ID, Length: 1000}))
	big := planFile(files[1])
	want := sqlrepo.PlanTail{NextOrdinal: 1, Partial: &big, Planned: 1000}
	equal(f.t, "begun", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), want)
	f.plan(run, planned(1, sqlrepo.Segment{Entry: files[1].ID, Offset: 1000, Length: 1500}))
	want.NextOrdinal, want.Planned = 2, 2500
	equal(f.t, "in the middle", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), want)
	equal(f.t, "unplanned", len(collect(f.t, f.Unplanned(f.ctx, run.Upload.ID))), 0)

	out := packed(must(f.ClaimShard(f.ctx, run))(f.t))
	out.TakenOut = []sqlrepo.TakenOut{{Entry: files[1].ID, State: sqlrepo.Changed, Reason: "changed"}}
	f.ok(f.SavePacked(f.ctx, run, out))
	equal(f.t, "taken out", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 2})
	files[1].State = sqlrepo.Rescanned
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{Changed: files[1:]}))
	f.plan(run, planned(2, sqlrepo.Segment{Entry: files[1].ID, Length: 3000}))
	equal(f.t, "ended", must(f.PlanTail(f.ctx, run.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 3})
}

func planKeys(f *fixture) {
	run, other := f.newRun(), f.newRun()
	files := f.add(run, file("a", 700))
	f.plan(other, planned(0))
	shards := f.plan(run, planned(0), planned(1, sqlrepo.Segment{Entry: files[0].ID, Length: 700}))
	want := sqlrepo.Shard{ID: 3, Upload: run.Upload.ID, Ordinal: 1, Kind: sqlrepo.DataShard, State: sqlrepo.ShardPlanned,
		PlannedSize: 1001, Chunks: 1}
	equal(f.t, "shard", shards[1].Shard, want)
	equal(f.t, "stored", collect(f.t, f.Shards(f.ctx, run.Upload.ID, sqlrepo.ShardFilter{}))[1], want)
	segments := collect(f.t, f.ShardSegments(f.ctx, 3))
	equal(f.t, "segment", segments[0].Segment, sqlrepo.Segment{Entry: files[0].ID, Shard: 3, Length: 700})
	f.ok(f.SavePlan(f.ctx, run, nil))
}

func planIsAtomic(f *fixture) {
	run := f.newRun()
	f.plan(run, planned(0))
	before := f.dump()
	f.fails(f.SavePlan(f.ctx, run, []sqlrepo.PlannedShard{planned(1), planned(0)}), sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
	missing := sqlrepo.Run{Upload: sqlrepo.Upload{ID: 100, Token: 1}}
	f.fails(f.SavePlan(f.ctx, missing, []sqlrepo.PlannedShard{planned(0)}), sqlrepo.ErrLeaseLost)
}

func listShards(f *fixture) {
	run, other := f.newRun(), f.newRun()
	var plan []sqlrepo.PlannedShard
	for ordinal := range int64(4500) {
		plan = append(plan, planned(4499-ordinal))
	}
	f.plan(run, plan...)
	f.plan(other, planned(0))
	for i, shard := range collect(f.t, f.Shards(f.ctx, run.Upload.ID, sqlrepo.ShardFilter{})) {
		if shard.Ordinal != int64(i) {
			f.t.Fatalf("shard %d has the ordinal %d", i, shard.Ordinal)
		}
	}
	claimed := must(f.ClaimShard(f.ctx, run))(f.t)
	for _, list := range []struct {
		states []sqlrepo.ShardState
		want   int
	}{
		{nil, 4500},
		{[]sqlrepo.ShardState{}, 0},
		{[]sqlrepo.ShardState{sqlrepo.ShardPlanned}, 4499},
		{[]sqlrepo.ShardState{sqlrepo.ShardPlanned, sqlrepo.ShardPacking}, 4500},
	} {
		got := collect(f.t, f.Shards(f.ctx, run.Upload.ID, sqlrepo.ShardFilter{States: list.states}))
		equal(f.t, fmt.Sprint("shards in ", list.states), len(got), list.want)
	}
	packing := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacking}}
	equal(f.t, "packing", collect(f.t, f.Shards(f.ctx, run.Upload.ID, packing)), []sqlrepo.Shard{claimed})
}

func largestFile(f *fixture) {
	run := f.newRun()
	equal(f.t, "none", must(f.LargestFile(f.ctx, run.Upload.ID))(f.t), 0)
	directory := directory("d")
	directory.Size = 1 << 60
	f.add(run, file("a", 1<<50), file("b", 5), directory)
	f.add(f.newRun(), file("c", 1<<55))
	equal(f.t, "largest", must(f.LargestFile(f.ctx, run.Upload.ID))(f.t), 1<<50)
}
