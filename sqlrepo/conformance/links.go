package conformance

import (
	"fmt"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func links() []test {
	return []test{
		{"join entries with their segments", linkables},
		{"join page by page", linkablePages},
		{"know what an earlier upload prepared", linkableKnown},
		{"record roots and shards", saveLinks},
		{"are forgotten and made again", resetLinks},
		{"are atomic", linkIsAtomic},
	}
}

func linkables(f *fixture) {
	stage := f.newStage()
	all := []sqlrepo.Entry{directory(""), file("a", 3000), file("changed", 1), file("empty", 0), file("failed", 1),
		entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("a")}), file("rescanned", 5),
		entry("socket", sqlrepo.Fingerprint{Kind: sqlrepo.Special})}
	all[2].State, all[4].State = sqlrepo.Changed, sqlrepo.Failed
	all[6].State, all[7].State = sqlrepo.Rescanned, sqlrepo.Unsupported
	all = f.add(stage, all...)

	// The second part of the file is in the shard with the lower ordinal, so neither key nor place gives the order.
	f.plan(stage,
		planned(0, sqlrepo.Segment{Entry: all[6].ID, Length: 5},
			sqlrepo.Segment{Entry: all[1].ID, Offset: 2000, Length: 1000}),
		planned(1, sqlrepo.Segment{Entry: all[3].ID}, sqlrepo.Segment{Entry: all[1].ID, Length: 2000}))

	got := collect(f.t, f.Linkables(f.ctx, stage.Upload.ID))
	var linked []sqlrepo.Linkable
	var segments []string
	for _, linkable := range got {
		linked = append(linked, withoutContent(linkable))
		if linkable.Known != nil {
			f.t.Errorf("%s is known", linkable.Path)
		}
		for _, s := range linkable.Segments {
			segments = append(segments, fmt.Sprintf("%s %d+%d in %d at %d", linkable.Path, s.Offset, s.Length, s.Shard, s.Chunk))
		}
	}

	equal(f.t, "entries", linked, []sqlrepo.Linkable{
		linkable(all[0]), linkable(all[1]), linkable(all[3]), linkable(all[5]), linkable(all[6]),
	})
	equal(f.t, "segments", segments, []string{
		"a 0+2000 in 2 at 1", "a 2000+1000 in 1 at 1", "empty 0+0 in 2 at 0", "rescanned 0+5 in 1 at 0",
	})
}

func linkable(e sqlrepo.Entry) sqlrepo.Linkable {
	return sqlrepo.Linkable{ID: e.ID, Path: e.Path, Kind: e.Kind, Size: e.Size, Target: e.Target, Origin: e.Origin}
}

func withoutContent(l sqlrepo.Linkable) sqlrepo.Linkable {
	l.Segments, l.Known = nil, nil
	return l
}

func linkablePages(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, many(5000)...)
	var plan []sqlrepo.PlannedShard
	for ordinal, part := range []int64{0, 100} {
		var segments []sqlrepo.Segment
		for _, file := range files {
			segments = append(segments, sqlrepo.Segment{Entry: file.ID, Offset: part, Length: file.ID})
		}
		plan = append(plan, planned(int64(ordinal), segments...))
	}
	f.plan(stage, plan...)

	n := 0
	for linkable, err := range f.Linkables(f.ctx, stage.Upload.ID) {
		f.ok(err)
		if linkable.ID != files[n].ID || len(linkable.Segments) != 2 {
			f.t.Fatalf("entry %d: %+v", n, linkable)
		}
		for i, segment := range linkable.Segments {
			if segment.Entry != linkable.ID || segment.Offset != int64(100*i) || segment.Length != linkable.ID {
				f.t.Fatalf("entry %d has the segment %+v", n, segment)
			}
		}
		n++
	}

	equal(f.t, "linkables", n, 5000)
}

func linkableKnown(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.linkedFiles(&first, "a", "b")
	f.complete(first)

	second := f.begin(source)
	kept, unlinked, own := file("a", 700), file("c", 1), file("d", 1)

	// The second origin does not exist and so has no root.
	kept.Origin, unlinked.Origin = old[0].ID, 1000
	added := f.add(second, kept, unlinked, own)

	got := collect(f.t, f.Linkables(f.ctx, second.Upload.ID))
	want := []sqlrepo.Linkable{linkable(added[0]), linkable(added[1]), linkable(added[2])}
	want[0].Known = &sqlrepo.Root{Entry: old[0].ID, CID: exampleCID(), DAGSize: 700}
	for i := range got {
		equal(f.t, "segments", len(got[i].Segments), 0)
		got[i].Segments = nil
	}

	equal(f.t, "linkables", got, want)
	f.ok(f.ResetLinks(f.ctx, second))
	equal(f.t, "linked", f.upload(first).Linked, 2)
	equal(f.t, "roots of the first", len(f.rows("roots")), 2)
}

func saveLinks(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, directory(""), file("a", 1), file("b", 1))
	shards := []sqlrepo.PackedShard{packed(sqlrepo.Shard{Ordinal: 0}), packed(sqlrepo.Shard{Ordinal: 1})}
	shards[1].Nodes = nil
	shards[1].Shard.State = sqlrepo.ShardEmpty

	roots := []sqlrepo.Root{
		{Entry: files[0].ID, CID: exampleCID(), DAGSize: 1 << 50}, {Entry: files[1].ID, CID: exampleCID()},
		{Entry: files[2].ID, CID: exampleCID()},
	}

	f.ok(f.link(stage, sqlrepo.LinkBatch{Roots: roots[:2], Shard: &shards[0]}))
	f.ok(f.link(stage, sqlrepo.LinkBatch{Shard: &shards[1]}))
	f.ok(f.link(stage, sqlrepo.LinkBatch{Roots: roots[2:]}))
	f.ok(f.link(stage, sqlrepo.LinkBatch{}))

	var want []sqlrepo.Shard
	for i, shard := range shards {
		shard.Shard.ID, shard.Shard.Upload, shard.Shard.Kind = int64(i+1), stage.Upload.ID, sqlrepo.DAGShard
		shard.Shard.Nodes = int64(len(shard.Nodes))
		want = append(want, shard.Shard)
	}

	equal(f.t, "shards", f.shards(stage), want)
	equal(f.t, "nodes", collect(f.t, f.Nodes(f.ctx, 1)), shards[0].Nodes)
	equal(f.t, "roots", len(f.rows("roots")), 3)
	equal(f.t, "linked", f.upload(stage).Linked, 3)
	equal(f.t, "revision", f.sealing(stage.Upload.ID).Revision, 2)
}

// resetLinks forgets roots and keeps shards: others may have left out blocks that these shards hold.
func resetLinks(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	f.linkedFiles(&other, "other")
	f.dag(stage, 0)
	files := f.add(stage, file("a", 700))
	f.toPack(stage, planFor(1, files...))
	stage = f.stage(f.sealed(packed(f.shard(stage))))
	before := f.dump()
	batch := sqlrepo.LinkBatch{Roots: []sqlrepo.Root{{Entry: files[0].ID, CID: exampleCID(), DAGSize: 700}}}
	for range 2 {
		f.ok(f.link(stage, batch))
		if f.dump() == before {
			f.t.Error("nothing was linked")
		}
		f.ok(f.ResetLinks(f.ctx, stage))
		equal(f.t, "dump", f.dump(), before)
	}
}

func linkIsAtomic(f *fixture) {
	stage := f.newStage()
	before, sealing, shard := f.dump(), f.sealing(stage.Upload.ID), packed(sqlrepo.Shard{Ordinal: 0})
	f.fails(f.link(stage, sqlrepo.LinkBatch{
		Roots: []sqlrepo.Root{{Entry: 1, CID: exampleCID()}, {Entry: 1, CID: exampleCID()}}, Shard: &shard,
	}), sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
	equal(f.t, "sealing", f.sealing(stage.Upload.ID).Revision, sealing.Revision)
}
