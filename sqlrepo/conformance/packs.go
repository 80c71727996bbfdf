package conformance

import (
	"bytes"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func packs() []test {
	return []test{
		{"read segments in order", shardSegments},
		{"record all of a shard", sealShard},
		{"give back digests however they are stored", chunkDigests},
		{"leave out digests that nodes give", saveGivenDigests},
		{"record a shard once", sealOnce},
		{"record an empty shard", saveEmptyShard},
		{"record many nodes", saveManyNodes},
		{"need the claim", sealNeedsClaim},
		{"take entries out", takeOut},
		{"keep the first reason", takeOutOnce},
		{"are atomic", packIsAtomic},
	}
}

func shardSegments(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 3000), file("b\xff", 0), file("c", 5))
	files[2].State = sqlrepo.Rescanned
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Changed: files[2:]}))

	shard := f.plan(stage, planned(0), planned(1,
		sqlrepo.Segment{Entry: files[2].ID, Length: 5},
		sqlrepo.Segment{Entry: files[0].ID, Offset: 1000, Length: 2000},
		sqlrepo.Segment{Entry: files[1].ID}))[1]

	var want []sqlrepo.PackSegment
	for i, file := range []sqlrepo.Entry{files[2], files[0], files[1]} {
		segment := shard.Segments[i]
		segment.Shard = shard.Shard.ID
		want = append(want, sqlrepo.PackSegment{
			Segment: segment, Path: file.Path, Fingerprint: file.Fingerprint, State: file.State,
		})
	}
	equal(f.t, "segments", collect(f.t, f.ShardSegments(f.ctx, shard.Shard.ID)), want)
	equal(f.t, "no segments", len(collect(f.t, f.ShardSegments(f.ctx, 100))), 0)
}

// planFor returns a shard for some whole files.
func planFor(ordinal int64, files ...sqlrepo.Entry) sqlrepo.PlannedShard {
	var segments []sqlrepo.Segment
	for _, file := range files {
		segments = append(segments, sqlrepo.Segment{Entry: file.ID, Length: file.Size})
	}
	return planned(ordinal, segments...)
}

// claimOnly plans a shard for some files and claims it.
func (f *fixture) claimOnly(stage sqlrepo.Stage, ordinal int64, files ...sqlrepo.Entry) sqlrepo.Shard {
	f.t.Helper()
	f.toPack(stage, planFor(ordinal, files...))
	return f.shard(stage)
}

func (f *fixture) shards(stage sqlrepo.Stage) []sqlrepo.Shard {
	f.t.Helper()
	return collect(f.t, f.Shards(f.ctx, stage.Upload.ID, sqlrepo.ShardFilter{}))
}

func sealShard(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1))
	shard, bystander := f.shard(stage), f.shard(stage)

	result := packed(shard)
	result.Digests = bytes.Repeat([]byte{0, 1, 2, 3}, 24)
	result.Nodes = append(result.Nodes, sqlrepo.Node{Position: 1<<31 - 1, Length: 1<<31 - 1, Codec: 0x70})
	f.sealed(result)

	want := result.Shard
	want.Nodes, want.Lease = 2, sqlrepo.Lease{}
	equal(f.t, "shards", f.shards(stage), []sqlrepo.Shard{want, bystander})
	equal(f.t, "digests", must(f.ShardDigests(f.ctx, shard.ID))(f.t), result.Digests)
	equal(f.t, "nodes", collect(f.t, f.Nodes(f.ctx, shard.ID)), result.Nodes)
	equal(f.t, "the other's nodes", len(collect(f.t, f.Nodes(f.ctx, bystander.ID))), 0)

	_, err := f.ShardDigests(f.ctx, bystander.ID+1)
	f.fails(err, sqlrepo.ErrNotFound)
}

func chunkDigests(f *fixture) {
	stage := f.newStage()
	a, b, zero := sqlrepo.Digest{1}, sqlrepo.Digest{2}, sqlrepo.Digest{}
	for ordinal, tt := range []struct{ chunks, nodes []sqlrepo.Digest }{
		{nil, nil},
		{[]sqlrepo.Digest{a, b}, []sqlrepo.Digest{a, b}},
		{[]sqlrepo.Digest{a, b, a}, []sqlrepo.Digest{a, b}},
		{[]sqlrepo.Digest{b, a}, []sqlrepo.Digest{a, b}},
		{[]sqlrepo.Digest{zero, b}, []sqlrepo.Digest{b}},
		{[]sqlrepo.Digest{zero, zero}, nil},
	} {
		result := packed(f.claimOnly(stage, int64(ordinal)))

		result.Digests, result.Nodes = nil, nil
		for _, digest := range tt.chunks {
			result.Digests = append(result.Digests, digest[:]...)
		}
		for i, digest := range tt.nodes {
			result.Nodes = append(result.Nodes, sqlrepo.Node{Position: int32(100 + i), Digest: digest})
		}

		stage = f.stage(f.sealed(result))
		equal(f.t, "digests", must(f.ShardDigests(f.ctx, result.Shard.ID))(f.t), result.Digests)
	}
}

// saveGivenDigests stores no digests that the nodes give, and returns them all the same.
func saveGivenDigests(f *fixture) {
	stage := f.newStage()
	result := packed(f.claimOnly(stage, 0))
	second := sqlrepo.Node{Position: 900, Length: 5, Codec: 0x55, Digest: sqlrepo.Digest{9}}
	result.Nodes = append(result.Nodes, second)
	result.Digests = append(bytes.Clone(result.Digests), second.Digest[:]...)
	f.sealed(result)
	equal(f.t, "stored", f.rows("shards")[0]["digests"], nil)
	equal(f.t, "digests", must(f.ShardDigests(f.ctx, result.Shard.ID))(f.t), result.Digests)
}

func sealOnce(f *fixture) {
	stage := f.newStage()
	result := packed(f.claimOnly(stage, 0))
	f.sealed(result)
	before := f.dump()
	result.Shard.Size, result.Nodes[0].Position = 1, 1
	_, err := f.seal(result)
	f.fails(err, sqlrepo.ErrLeaseLost)
	equal(f.t, "dump", f.dump(), before)
}

func saveEmptyShard(f *fixture) {
	stage := f.newStage()
	shard := f.claimOnly(stage, 0)
	shard.State = sqlrepo.ShardEmpty
	f.sealed(sqlrepo.PackedShard{Shard: shard})
	shard.Lease = sqlrepo.Lease{}
	equal(f.t, "shards", f.shards(stage), []sqlrepo.Shard{shard})
	equal(f.t, "digests", len(must(f.ShardDigests(f.ctx, shard.ID))(f.t)), 0)
	f.noShard(stage)
}

func saveManyNodes(f *fixture) {
	stage := f.newStage()
	result := packed(f.claimOnly(stage, 0))
	result.Nodes = nil
	for i := range int32(5000) {
		node := sqlrepo.Node{Position: 100 * i, Length: i, Codec: 0x55, Digest: sqlrepo.Digest{byte(i)}}
		result.Nodes = append(result.Nodes, node)
	}
	f.sealed(result)
	equal(f.t, "nodes", collect(f.t, f.Nodes(f.ctx, result.Shard.ID)), result.Nodes)
}

func sealNeedsClaim(f *fixture) {
	stage := f.newStage()
	shard := f.toPack(stage, planned(0))[0].Shard
	before, sealing := f.dump(), f.sealing(stage.Upload.ID)

	unknown := shard
	unknown.ID, unknown.Token = 100, 1
	elsewhere := shard
	elsewhere.Upload = 100

	for _, shard := range []sqlrepo.Shard{shard, unknown, elsewhere} {
		_, err := f.sealShard(packed(shard), sealing)
		f.fails(err, sqlrepo.ErrLeaseLost)
	}

	equal(f.t, "dump", f.dump(), before)
	equal(f.t, "sealing", f.sealing(stage.Upload.ID), sealing)
}

func takeOut(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 10), file("b", 10), file("c", 10))
	f.toPack(stage, planFor(0, files...), planned(1, sqlrepo.Segment{Entry: files[1].ID, Offset: 5, Length: 5}))

	result := packed(f.shard(stage))
	result.TakenOut = []sqlrepo.TakenOut{
		{Entry: files[0].ID, State: sqlrepo.Failed, Reason: "nul \x00 \xff"},
		{Entry: files[1].ID, State: sqlrepo.Changed, Reason: "grew"},
	}
	f.sealed(result)

	files[0].State, files[0].Reason = sqlrepo.Failed, "nul \uFFFD \uFFFD"
	files[1].State, files[1].Reason = sqlrepo.Changed, "grew"
	equal(f.t, "entries", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), files)
	equal(f.t, "left out", collect(f.t, f.LeftOut(f.ctx, stage.Upload.ID)), files[:2])

	// Entries that are taken out lose their segments in all shards.
	rows := f.rows("segments")
	if len(rows) != 1 || rows[0]["entry"] != float64(files[2].ID) {
		f.t.Errorf("segments left: %v", rows)
	}
}

func takeOutOnce(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 10))
	part := sqlrepo.Segment{Entry: files[0].ID, Length: 5}
	f.toPack(stage, planned(0, part), planned(1, part))

	for _, out := range []sqlrepo.TakenOut{
		{Entry: files[0].ID, State: sqlrepo.Changed, Reason: "first"},
		{Entry: files[0].ID, State: sqlrepo.Failed, Reason: "second"},
	} {
		result := packed(f.shard(stage))
		result.TakenOut = []sqlrepo.TakenOut{out}
		f.sealed(result)
	}

	files[0].State, files[0].Reason = sqlrepo.Changed, "first"
	equal(f.t, "entries", collect(f.t, f.LeftOut(f.ctx, stage.Upload.ID)), files)
}

func packIsAtomic(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 10))
	result := packed(f.claimOnly(stage, 0, files...))
	result.TakenOut = []sqlrepo.TakenOut{{Entry: files[0].ID, State: sqlrepo.Failed, Reason: "reason"}}
	result.Nodes = append(result.Nodes, result.Nodes[0])
	before := f.dump()
	_, err := f.seal(result)
	f.fails(err, sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
}
