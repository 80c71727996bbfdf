package conformance

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func indexes() []test {
	return []test{
		{"begin with the root", indexBegins},
		{"cover the shards of their upload", indexCovers},
		{"cover what ended uploads of the space have left", indexLeftovers},
		{"cover a shard once", indexOnce},
		{"are recorded when they are stored", indexStored},
		{"are made again for another root", indexStale},
		{"are read through the nodes of shards", indexNodes},
		{"cover shards later, for a complete upload", indexLater},
		{"go with the shards that they cover", indexCondemned},
		{"keep a removed upload while they cover shards", indexKeepsUpload},
		{"are removed with a file that no other is", indexRemoved},
		{"know which files are theirs", indexNamed},
		{"keep their layout once something is planned", indexRecipe},
		{"are the same for all who are at work", indexJoined},
		{"leave out what none has room for", indexTooLarge},
	}
}

// newIndex returns an index with a digest that covers some shards.
func newIndex(digest byte, shards ...sqlrepo.Indexable) sqlrepo.NewIndex {
	made := sqlrepo.NewIndex{Index: sqlrepo.Index{Layout: "storacha", Root: exampleCID(), Shards: int64(len(shards)),
		Slices: int64(2 * len(shards)), Size: 100, Digest: make([]byte, 32)}}
	made.Digest[0] = digest
	for _, shard := range shards {
		made.Covers = append(made.Covers, shard.ID)
	}
	made.Publish = func(context.Context) error { return nil }
	return made
}

// linked returns an upload that is about to be indexed, with a shard for each of some files.
func (f *fixture) linked(space sqlrepo.Space, names ...string) sqlrepo.Stage {
	f.t.Helper()
	stage := f.begin(f.source(space))
	f.linkedFiles(&stage, names...)
	return must(f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{Files: int64(len(names))}))(f.t)
}

func (f *fixture) uncovered(space sqlrepo.Space, upload int64) []sqlrepo.Indexable {
	f.t.Helper()
	return collect(f.t, f.Uncovered(f.ctx, space.ID, upload))
}

func (f *fixture) indexesOf(filter sqlrepo.IndexFilter) []sqlrepo.Index {
	f.t.Helper()
	return collect(f.t, f.Indexes(f.ctx, filter))
}

func indexBegins(f *fixture) {
	stage := must(f.reach(f.newStage(), sqlrepo.Linking))(f.t)
	counts := sqlrepo.Counts{Files: 1, Directories: 2, Symlinks: 3, Bytes: 4}
	f.pass(1000)

	next := must(f.BeginIndexing(f.ctx, stage, exampleCID(), counts))(f.t)
	equal(f.t, "stage", next.Upload, f.upload(stage))
	equal(f.t, "state", next.Upload.State, sqlrepo.Indexing)
	equal(f.t, "root", next.Upload.RootCID, exampleCID())
	equal(f.t, "counts", next.Upload.Counts, counts)
	equal(f.t, "token", next.Upload.Token, stage.Upload.Token)

	f.expire()
	again := f.stage(f.upload(stage))
	equal(f.t, "claimed again", again.Upload.State, sqlrepo.Indexing)
	f.fails(f.SaveIndexes(f.ctx, next, nil), sqlrepo.ErrLeaseLost)
	f.ok(f.SaveIndexes(f.ctx, again, nil))

	// Opening the upload again takes its root away.
	reopened := f.again(must(f.Source(f.ctx, stage.Upload.Source))(f.t)).Upload
	equal(f.t, "root when it is opened again", reopened.RootCID, sqlrepo.CID{})
	equal(f.t, "counts when it is opened again", reopened.Counts, sqlrepo.Counts{})
}

func indexCovers(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a", "b", "c")
	upload, shards := stage.Upload.ID, f.uncovered(space, stage.Upload.ID)
	equal(f.t, "uncovered", len(shards), 3)
	equal(f.t, "uncovered of others", len(f.uncovered(space, 0)), 0)

	f.ok(f.SaveIndexes(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, shards[0]), newIndex(2, shards[1])}))
	equal(f.t, "left", f.uncovered(space, upload), shards[2:])
	completed := must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(3, shards[2])}))(f.t)
	equal(f.t, "completed", completed, f.upload(stage))

	stored := f.indexesOf(sqlrepo.IndexFilter{Upload: &upload, States: []sqlrepo.IndexState{sqlrepo.IndexStored}})
	equal(f.t, "indexes of the space", f.indexesOf(sqlrepo.IndexFilter{Space: &space.ID}), stored)
	for i, index := range stored {
		want := newIndex(byte(i+1), shards[i]).Index
		want.ID, want.Upload, want.Ordinal, want.State = int64(i+1), upload, int64(i), sqlrepo.IndexStored
		equal(f.t, "index", index, want)
		equal(f.t, "covered", must(f.Covered(f.ctx, index.ID))(f.t), shards[i:i+1])
		equal(f.t, "by digest", must(f.IndexByDigest(f.ctx, sqlrepo.Digest(index.Digest)))(f.t), index)
		equal(f.t, "index of the shard", f.shards(stage)[i].Index, index.ID)
	}

	equal(f.t, "indexes", len(stored), 3)
	_, err := f.IndexByDigest(f.ctx, sqlrepo.Digest{9})
	f.fails(err, sqlrepo.ErrNotFound)
}

func indexLeftovers(f *fixture) {
	space := f.space()
	old, incomplete, open, elsewhere := f.linked(space, "a"), f.linked(space, "b"), f.linked(space, "c"),
		f.linked(f.space(), "d")

	must(f.CompleteUpload(f.ctx, old, nil))(f.t)
	must(f.CompleteUpload(f.ctx, elsewhere, nil))(f.t)
	f.ok(f.GiveUp(f.ctx, incomplete.Upload.ID))

	// Its index also covers the shards of uploads that have ended.
	stage := f.linked(space, "e")

	var uploads []int64
	shards := f.uncovered(space, stage.Upload.ID)
	for _, shard := range shards {
		uploads = append(uploads, shard.Upload)
	}
	equal(f.t, "uploads", uploads, []int64{old.Upload.ID, incomplete.Upload.ID, stage.Upload.ID})

	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, shards...)}))(f.t)
	equal(f.t, "left", len(f.uncovered(space, open.Upload.ID)), 1)
}

func indexOnce(f *fixture) {
	space := f.space()
	left := f.linked(space, "a")
	must(f.CompleteUpload(f.ctx, left, nil))(f.t)

	first, second := f.linked(space, "b"), f.linked(space, "c")

	// Both uploads find the shard of the one that has ended.
	firsts, seconds := f.uncovered(space, first.Upload.ID), f.uncovered(space, second.Upload.ID)
	must(f.CompleteUpload(f.ctx, first, []sqlrepo.NewIndex{newIndex(1, firsts...)}))(f.t)

	before := f.everything()
	_, err := f.CompleteUpload(f.ctx, second, []sqlrepo.NewIndex{newIndex(2, seconds...)})
	f.fails(err, sqlrepo.ErrSpaceChanged)
	equal(f.t, "everything", f.everything(), before)

	must(f.CompleteUpload(f.ctx, second, []sqlrepo.NewIndex{newIndex(2, f.uncovered(space, second.Upload.ID)...)}))(f.t)
	equal(f.t, "left", len(f.uncovered(space, 0)), 0)
}

func indexStored(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a")
	index := newIndex(1, f.uncovered(space, stage.Upload.ID)...)
	index.Publish = func(context.Context) error { return errStop }
	before := f.everything()
	_, err := f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{index})
	f.fails(err, errStop)
	f.fails(f.SaveIndexes(f.ctx, stage, []sqlrepo.NewIndex{index}), errStop)
	equal(f.t, "everything", f.everything(), before)
}

func indexStale(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a", "b")
	shards := f.uncovered(space, stage.Upload.ID)
	f.ok(f.SaveIndexes(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, shards[0])}))

	source := sqlrepo.Source{ID: stage.Upload.Source}
	stage = must(f.BeginIndexing(f.ctx, f.again(source), exampleCID(), sqlrepo.Counts{}))(f.t)
	equal(f.t, "left with the same root", f.uncovered(space, stage.Upload.ID), shards[1:])

	// An index names its root, so another root needs another index.
	other := sqlrepo.CID{Cid: cid.MustParse("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")}
	stage = must(f.BeginIndexing(f.ctx, f.again(source), other, sqlrepo.Counts{}))(f.t)
	equal(f.t, "left with another", f.uncovered(space, stage.Upload.ID), shards)
	equal(f.t, "state", f.indexesOf(sqlrepo.IndexFilter{})[0].State, sqlrepo.IndexRemoving)
}

func indexNodes(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a", "b", "c")
	shards := f.uncovered(space, stage.Upload.ID)

	begun, read := 0, []int64(nil)
	err := f.NodesOf(f.ctx, []int64{shards[2].ID, shards[0].ID}, func() { begun++ }, func(node sqlrepo.ShardNode) error {
		read = append(read, node.Shard)
		equal(f.t, "node", []sqlrepo.Node{node.Node}, collect(f.t, f.Nodes(f.ctx, node.Shard)))
		return nil
	})
	f.ok(err)
	equal(f.t, "begun", begun, 1)
	equal(f.t, "shards", read, []int64{shards[0].ID, shards[2].ID})

	stop := func(sqlrepo.ShardNode) error { return errStop }
	f.fails(f.NodesOf(f.ctx, []int64{shards[0].ID}, func() {}, stop), errStop)
}

func indexLater(f *fixture) {
	space := f.space()
	_, err := f.LatestComplete(f.ctx, space.ID)
	f.fails(err, sqlrepo.ErrNotFound)

	stage := f.linked(space, "a")
	shards := f.uncovered(space, stage.Upload.ID)
	f.fails(f.CoverShards(f.ctx, stage.Upload.ID, []sqlrepo.NewIndex{newIndex(1, shards...)}), sqlrepo.ErrSpaceChanged)

	completed := must(f.CompleteUpload(f.ctx, stage, nil))(f.t)
	equal(f.t, "latest", must(f.LatestComplete(f.ctx, space.ID))(f.t), completed)
	f.ok(f.CoverShards(f.ctx, completed.ID, []sqlrepo.NewIndex{newIndex(1, shards...)}))

	// By now the shards are covered.
	late := newIndex(2, shards...)
	late.Publish = func(context.Context) error { f.t.Error("an index was stored in vain"); return errStop }
	f.fails(f.CoverShards(f.ctx, completed.ID, []sqlrepo.NewIndex{late}), sqlrepo.ErrSpaceChanged)
	equal(f.t, "uncovered", len(f.uncovered(space, 0)), 0)

	f.ok(f.DropIndexes(f.ctx, []int64{1}))
	equal(f.t, "uncovered without it", f.uncovered(space, 0), shards)
	f.ok(f.CoverShards(f.ctx, completed.ID, []sqlrepo.NewIndex{newIndex(1, shards...)}))
	equal(f.t, "ordinal", f.indexesOf(sqlrepo.IndexFilter{})[1].Ordinal, 1)
}

func indexCondemned(f *fixture) {
	space := f.space()
	left, other := f.linked(space, "a"), f.linked(space, "c")
	must(f.CompleteUpload(f.ctx, left, nil))(f.t)

	stage := f.linked(space, "b")
	both := f.uncovered(space, stage.Upload.ID)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, both...)}))(f.t)
	own := f.uncovered(space, other.Upload.ID)
	must(f.CompleteUpload(f.ctx, other, []sqlrepo.NewIndex{newIndex(2, own...)}))(f.t)

	mine := f.removed(left)
	f.forget(mine)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{both[0].ID}))
	equal(f.t, "uncovered", f.uncovered(space, 0), both[1:])

	states := []sqlrepo.IndexState{}
	for _, index := range f.indexesOf(sqlrepo.IndexFilter{}) {
		states = append(states, index.State)
	}
	equal(f.t, "states", states, []sqlrepo.IndexState{sqlrepo.IndexRemoving, sqlrepo.IndexStored})

	_, err := f.IndexByDigest(f.ctx, sqlrepo.Digest{1})
	f.fails(err, sqlrepo.ErrNotFound)
}

// forget deletes all entries of a removed upload.
func (f *fixture) forget(removal sqlrepo.Stage) {
	f.t.Helper()
	for _, run := range collect(f.t, f.EntryRuns(f.ctx, removal.Upload.ID, nil)) {
		_, _, _, err := f.RemoveEntries(f.ctx, removal, run)
		f.ok(err)
	}
}

func indexKeepsUpload(f *fixture) {
	space := f.space()
	left := f.linked(space, "a")
	must(f.CompleteUpload(f.ctx, left, nil))(f.t)
	stage := f.linked(space, "b")
	shards := f.uncovered(space, stage.Upload.ID)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, shards[0]), newIndex(2, shards[1])}))(f.t)

	mine := f.removed(stage)
	f.forget(mine)

	// The first index covers only a shard of another upload.
	f.ok(f.DropNeedlessIndexes(f.ctx, mine))
	equal(f.t, "uncovered by what covers only others'", f.uncovered(space, 0), shards[:1])

	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shards[1].ID}))
	gone, _, err := f.RemoveNodes(f.ctx, mine, shards[1].ID)
	f.ok(err)
	equal(f.t, "shard gone", gone, true)
	equal(f.t, "upload gone before its indexes", must(f.FinishRemoval(f.ctx, mine))(f.t), false)

	for _, index := range f.indexesOf(sqlrepo.IndexFilter{}) {
		equal(f.t, "state", index.State, sqlrepo.IndexRemoving)
		f.ok(f.RemoveIndex(f.ctx, index.ID))
	}

	mine = must(f.ClaimRemoval(f.ctx, claim("remover"), stage.Upload.ID))(f.t)
	equal(f.t, "upload gone", must(f.FinishRemoval(f.ctx, mine))(f.t), true)
}

func indexRemoved(f *fixture) {
	space, twin := f.space(), f.space()
	for _, stage := range []sqlrepo.Stage{f.linked(space, "a"), f.linked(twin, "a")} {
		of := sqlrepo.Space{ID: must(f.Source(f.ctx, stage.Upload.Source))(f.t).Space}
		must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, f.uncovered(of, stage.Upload.ID)...)}))(f.t)
	}

	for i, named := range []bool{true, false} {
		index := f.indexesOf(sqlrepo.IndexFilter{})[0]
		f.ok(f.RemoveIndex(f.ctx, index.ID))
		equal(f.t, "indexes after the removal of one that is needed", len(f.indexesOf(sqlrepo.IndexFilter{})), 2-i)
		f.ok(f.DropIndexes(f.ctx, []int64{index.ID}))
		digest := sqlrepo.Digest(index.Digest)
		equal(f.t, "is its file named", f.stillNamed(digest)[digest], named)
		f.ok(f.RemoveIndex(f.ctx, index.ID))
	}

	equal(f.t, "indexes", len(f.indexesOf(sqlrepo.IndexFilter{})), 0)
}

func indexNamed(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a", "b")
	shards := f.uncovered(space, stage.Upload.ID)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(1, shards[0]), newIndex(2, shards[1])}))(f.t)
	f.ok(f.DropIndexes(f.ctx, []int64{2}))

	var digests []sqlrepo.Digest
	for n := range byte(3) {
		digests = append(digests, sqlrepo.Digest(newIndex(n+1).Digest))
	}
	want := map[sqlrepo.Digest]bool{digests[0]: true}
	equal(f.t, "named", len(must(f.Named(f.ctx, "store", digests))(f.t)), len(want))
	equal(f.t, "still named", f.stillNamed(digests...), want)
}

func indexRecipe(f *fixture) {
	source := f.source(f.space())
	first, second := fresh(source), fresh(source)
	second.IndexLayout, second.IndexSlices, second.PieceCID = "forge", 5000, true

	must(f.OpenUpload(f.ctx, source.ID, first))(f.t)
	stage := f.stage(must(f.OpenUpload(f.ctx, source.ID, second))(f.t).Upload)
	equal(f.t, "layout before anything is planned", stage.Upload.IndexLayout, "forge")
	equal(f.t, "slices before anything is planned", stage.Upload.IndexSlices, 5000)
	equal(f.t, "blocks of a shard", stage.Upload.MaxBlocks(), 4999)

	// From now on something is planned.
	f.toPack(stage, planFor(0, f.add(stage, file("a", 700))...))
	f.expire()
	for _, change := range []func(u *sqlrepo.Upload){
		func(u *sqlrepo.Upload) { u.IndexLayout = "spec" },
		func(u *sqlrepo.Upload) { u.IndexSlices = 4999 },
		func(u *sqlrepo.Upload) { u.PieceCID = false },
	} {
		other := second
		change(&other)
		_, err := f.OpenUpload(f.ctx, source.ID, other)
		f.fails(err, sqlrepo.ErrRecipe)
	}

	reopened := must(f.OpenUpload(f.ctx, source.ID, second))(f.t).Upload
	equal(f.t, "layout once something is planned", reopened.IndexLayout, "forge")
	equal(f.t, "slices once something is planned", reopened.IndexSlices, 5000)
	equal(f.t, "piece CIDs once something is planned", reopened.PieceCID, true)
}

func indexTooLarge(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a", "b")
	first := f.uncovered(space, stage.Upload.ID)[0]
	equal(f.t, "layout", first.Layout, sqlrepo.DefaultIndexLayout)

	for nodes, want := range map[int64]int64{sqlrepo.MaxIndexSlices - 1: first.ID, sqlrepo.MaxIndexSlices: first.ID + 1} {
		f.execute(fmt.Sprintf("UPDATE shards SET nodes = %d WHERE id = %d", nodes, first.ID))
		equal(f.t, "the first that can be covered", f.uncovered(space, stage.Upload.ID)[0].ID, want)
	}
}

// indexJoined opens an upload that others are at work on, to have it indexed in another way.
func indexJoined(f *fixture) {
	source := f.source(f.space())
	recipe := fresh(source)
	f.stage(must(f.OpenUpload(f.ctx, source.ID, recipe))(f.t).Upload)
	equal(f.t, "joined", must(f.OpenUpload(f.ctx, source.ID, recipe))(f.t).Joined, true)
	recipe.PieceCID = true
	_, err := f.OpenUpload(f.ctx, source.ID, recipe)
	f.fails(err, sqlrepo.ErrAtWork)
}
