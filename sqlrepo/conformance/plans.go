package conformance

import (
	"fmt"

	"pgregory.net/rapid"

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
	stage := f.newStage()
	states := []sqlrepo.Entry{directory(""), file("changed", 1), file("elsewhere", 1), file("empty", 0), file("failed", 1),
		entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("x")}), file("planned", 1),
		file("ready", 1), file("rescanned", 1), file("unsupported", 1)}
	states[1].State, states[2].Origin, states[4].State = sqlrepo.Changed, 100, sqlrepo.Failed
	states[8].State, states[9].State = sqlrepo.Rescanned, sqlrepo.Unsupported

	added := f.add(stage, states...)
	f.add(f.newStage(), file("another", 1))
	f.plan(stage, planned(0, sqlrepo.Segment{Entry: added[6].ID, Length: 1}))

	got := f.unplanned(f.t, stage)
	equal(f.t, "unplanned", got, []sqlrepo.PlanFile{planFile(added[3]), planFile(added[7]), planFile(added[8])})
}

func planFile(e sqlrepo.Entry) sqlrepo.PlanFile {
	return sqlrepo.PlanFile{ID: e.ID, Path: e.Path, Size: e.Size}
}

func unplannedPages(f *fixture) {
	stage := f.newStage()
	added := f.add(stage, many(5000)...)

	var segments []sqlrepo.Segment
	var want []string
	for i, file := range added {
		if i%5 == 0 {
			segments = append(segments, sqlrepo.Segment{Entry: file.ID, Length: file.Size})
		} else {
			want = append(want, file.Path.String())
		}
	}

	f.plan(stage, planned(0, segments...))
	equal(f.t, "unplanned", unplannedPaths(f, stage), want)
}

func unplannedPaths(f *fixture, stage sqlrepo.Stage) (paths []string) {
	for _, file := range f.unplanned(f.t, stage) {
		paths = append(paths, file.Path.String())
	}
	return paths
}

func planTail(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	equal(f.t, "empty", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), sqlrepo.PlanTail{})

	files := f.add(stage, file("a", 700), file("b", 0))
	f.plan(stage, planned(0, sqlrepo.Segment{Entry: files[0].ID, Length: 700}),
		planned(1, sqlrepo.Segment{Entry: files[1].ID}))
	equal(f.t, "planned", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 2})

	f.dag(stage, 2)
	equal(f.t, "linked", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 3})
	equal(f.t, "next", must(f.NextOrdinal(f.ctx, stage.Upload.ID))(f.t), 3)
	equal(f.t, "other", must(f.NextOrdinal(f.ctx, other.Upload.ID))(f.t), 0)
}

func planTailPartial(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 700), file("big", 3000))
	f.plan(stage, planned(0, sqlrepo.Segment{Entry: files[0].ID, Length: 700},
		sqlrepo.Segment{Entry: files[1].ID, Length: 1000}))

	big := planFile(files[1])
	want := sqlrepo.PlanTail{NextOrdinal: 1, Partial: &big, Planned: 1000}
	equal(f.t, "begun", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), want)

	f.plan(stage, planned(1, sqlrepo.Segment{Entry: files[1].ID, Offset: 1000, Length: 1500}))
	want.NextOrdinal, want.Planned = 2, 2500
	equal(f.t, "in the middle", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), want)
	equal(f.t, "unplanned", len(f.unplanned(f.t, stage)), 0)

	f.packing(stage)
	out := packed(f.shard(stage))
	out.TakenOut = []sqlrepo.TakenOut{{Entry: files[1].ID, State: sqlrepo.Changed, Reason: "changed"}}
	f.sealed(out)
	equal(f.t, "taken out", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 2})

	// The file is planned again from its first byte.
	stage = f.again(must(f.Source(f.ctx, stage.Upload.Source))(f.t))
	files[1].State = sqlrepo.Rescanned
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Changed: files[1:]}))
	f.plan(stage, planned(2, sqlrepo.Segment{Entry: files[1].ID, Length: 3000}))
	equal(f.t, "ended", must(f.PlanTail(f.ctx, stage.Upload.ID))(f.t), sqlrepo.PlanTail{NextOrdinal: 3})
}

func planKeys(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	files := f.add(stage, file("a", 700))
	f.plan(other, planned(0))

	shards := f.plan(stage, planned(0), planned(1, sqlrepo.Segment{Entry: files[0].ID, Length: 700}))
	want := sqlrepo.Shard{ID: 3, Upload: stage.Upload.ID, Ordinal: 1, Kind: sqlrepo.DataShard, State: sqlrepo.ShardPlanned,
		PlannedSize: 1001, Chunks: 1}
	equal(f.t, "shard", shards[1].Shard, want)
	equal(f.t, "stored", collect(f.t, f.Shards(f.ctx, stage.Upload.ID, sqlrepo.ShardFilter{}))[1], want)

	segments := collect(f.t, f.ShardSegments(f.ctx, 3))
	equal(f.t, "segment", segments[0].Segment, sqlrepo.Segment{Entry: files[0].ID, Shard: 3, Length: 700})
	f.ok(f.SavePlan(f.ctx, stage, nil))
}

func planIsAtomic(f *fixture) {
	stage := f.newStage()
	f.plan(stage, planned(0))
	before := f.dump()
	f.fails(f.SavePlan(f.ctx, stage, []sqlrepo.PlannedShard{planned(1), planned(0)}), sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
}

func listShards(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	var plan []sqlrepo.PlannedShard
	for ordinal := range int64(4500) {
		plan = append(plan, planned(ordinal))
	}
	f.plan(stage, plan...)
	f.plan(other, planned(0))

	for i, shard := range collect(f.t, f.Shards(f.ctx, stage.Upload.ID, sqlrepo.ShardFilter{})) {
		if shard.Ordinal != int64(i) {
			f.t.Fatalf("shard %d has the ordinal %d", i, shard.Ordinal)
		}
	}

	f.packing(stage)
	shard := packed(f.shard(stage))
	f.sealed(shard)
	shard.Shard.Lease, shard.Shard.Nodes = sqlrepo.Lease{}, 1

	for _, list := range []struct {
		states []sqlrepo.ShardState
		want   int
	}{
		{nil, 4500},
		{[]sqlrepo.ShardState{}, 0},
		{[]sqlrepo.ShardState{sqlrepo.ShardPlanned}, 4499},
		{[]sqlrepo.ShardState{sqlrepo.ShardPlanned, sqlrepo.ShardPacked}, 4500},
	} {
		got := collect(f.t, f.Shards(f.ctx, stage.Upload.ID, sqlrepo.ShardFilter{States: list.states}))
		equal(f.t, fmt.Sprint("shards in ", list.states), len(got), list.want)
	}

	done := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	equal(f.t, "packed", collect(f.t, f.Shards(f.ctx, stage.Upload.ID, done)), []sqlrepo.Shard{shard.Shard})
}

func largestFile(f *fixture) {
	stage := f.newStage()
	equal(f.t, "none", must(f.LargestFile(f.ctx, stage.Upload.ID))(f.t), 0)
	directory := directory("d")
	directory.Size = 1 << 60
	f.add(stage, file("a", 1<<50), file("b", 5), directory)
	f.add(f.newStage(), file("c", 1<<55))
	equal(f.t, "largest", must(f.LargestFile(f.ctx, stage.Upload.ID))(f.t), 1<<50)
}

// unplanned returns the files without planned content.
func (f *fixture) unplanned(t rapid.TB, stage sqlrepo.Stage) []sqlrepo.PlanFile {
	t.Helper()
	tail := must(f.PlanTail(f.ctx, stage.Upload.ID))(t)
	return collect(t, f.Unplanned(f.ctx, stage.Upload.ID, tail))
}
