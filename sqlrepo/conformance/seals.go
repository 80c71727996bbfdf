package conformance

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func seals() []test {
	return []test{
		{"follow the order of shards", sealInTurn},
		{"begin the next stage with the last shard", sealLast},
		{"go past shards that are set aside", sealPastAside},
		{"are stuck when the rest is set aside", sealStuck},
		{"set a stage aside with its upload", setStageAside},
		{"go on with a later plan", sealLaterPlan},
		{"store the shard before the rows name it", sealStores},
		{"fail with their store", sealStoreFails},
		{"are refused when the space has changed", sealAfterOther},
		{"of links are refused when the space has changed", linkAfterOther},
	}
}

func sealInTurn(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1), planned(2))
	first, second, third := packed(f.shard(stage)), packed(f.shard(stage)), packed(f.shard(stage))

	before := f.everything()
	for _, early := range []sqlrepo.PackedShard{second, third} {
		_, err := f.seal(early)
		f.fails(err, sqlrepo.ErrLeaseLost)
		equal(f.t, "everything", f.everything(), before)
	}

	for i, result := range []sqlrepo.PackedShard{first, second, third} {
		equal(f.t, "sealed", f.sealed(result).Sealed, int64(i+1))
	}
}

func sealLast(f *fixture) {
	stage, bystander := f.newStage(), f.newStage()
	files := f.add(stage, file("a", 700), file("b", 50))
	f.toPack(stage, planFor(0, files[0]), planFor(1, files[1]))
	f.toPack(bystander, planned(0))
	f.pass(term / 2)

	upload := f.sealed(packed(f.shard(stage)))
	equal(f.t, "state", upload.State, sqlrepo.Packing)
	equal(f.t, "tally", [4]int64{upload.PackedFiles, upload.PackedBytes, upload.SettledShards, upload.PlannedShards},
		[4]int64{1, 700, 1, 2})

	// With the last shard the next stage begins.
	upload = f.sealed(packed(f.shard(stage)))
	equal(f.t, "state", upload.State, sqlrepo.Rescanning)
	equal(f.t, "tally", [4]int64{upload.PackedFiles, upload.PackedBytes, upload.SettledShards, upload.PlannedShards},
		[4]int64{2, 750, 2, 2})

	stored := f.upload(stage)
	equal(f.t, "stored", sqlrepo.Upload{ID: stored.ID, State: stored.State, Tally: stored.Tally}, upload)
	equal(f.t, "began", stored.StageBegan, sqlrepo.NewTime(f.now))
	equal(f.t, "bytes", stored.StageBytes, 750)

	equal(f.t, "stage", f.stage(upload).Upload.State, sqlrepo.Rescanning)
	equal(f.t, "bystander", f.upload(bystander).State, sqlrepo.Packing)
}

func sealPastAside(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1), planned(2), planned(3))
	var shards []sqlrepo.Shard
	for range 4 {
		shards = append(shards, f.shard(stage))
	}

	f.ok(f.SetAside(f.ctx, shards[1], "behind the next one"))
	equal(f.t, "sealed", f.upload(stage).Sealed, 0)
	equal(f.t, "sealed", f.sealed(packed(shards[0])).Sealed, 2)

	f.ok(f.SetAside(f.ctx, shards[2], "the next one"))
	upload := f.upload(stage)
	equal(f.t, "sealed", upload.Sealed, 3)
	equal(f.t, "aside", upload.AsideShards, 2)
	equal(f.t, "stuck", upload.Stuck(), false)

	upload = f.sealed(packed(shards[3]))
	equal(f.t, "state", upload.State, sqlrepo.Packing)
	equal(f.t, "stuck", upload.Stuck(), true)
	equal(f.t, "ended", upload.Ended(), true)

	f.noShard(stage)
	underWay := must(f.ShardsUnderWay(f.ctx, upload.ID))(f.t)
	equal(f.t, "under way", len(underWay), 2)
	equal(f.t, "error", underWay[0].Error, "behind the next one")
}

// sealStuck sets aside the last shard that is left.
func sealStuck(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1))
	f.sealed(packed(f.shard(stage)))
	f.ok(f.SetAside(f.ctx, f.shard(stage), "damaged"))

	upload := f.upload(stage)
	equal(f.t, "stuck", upload.Stuck(), true)
	equal(f.t, "state", upload.State, sqlrepo.Packing)

	open := must(f.OpenUploads(f.ctx, sqlrepo.OpenFilter{}))(f.t)
	equal(f.t, "stuck", open[0].Stuck(), true)
	if open[0].NextShard != nil || open[0].Claimable {
		f.t.Errorf("there is something to do: %+v", open[0])
	}
}

func setStageAside(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	f.ok(f.SetAside(f.ctx, stage, "damaged"))
	upload := f.upload(stage)
	equal(f.t, "stuck", upload.Stuck(), true)
	equal(f.t, "shards aside", upload.AsideShards, 0)

	// Opening the upload again brings its work back.
	again := f.begin(source).Upload
	equal(f.t, "again", again.ID, upload.ID)
	equal(f.t, "stuck", again.Stuck(), false)
	equal(f.t, "error", again.Error, "")
}

// sealLaterPlan plans more once everything is settled, with ordinals of DAG shards in between.
func sealLaterPlan(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0))

	stage = f.stage(f.sealed(packed(f.shard(stage))))
	f.dag(stage, 1)
	f.dag(stage, 2)

	f.plan(stage, planned(3), planned(4))
	equal(f.t, "sealed", f.upload(stage).Sealed, 3)
	f.plan(stage, planned(5))
	equal(f.t, "sealed", f.upload(stage).Sealed, 3)

	f.packing(stage)
	for ordinal := range int64(3) {
		shard := f.shard(stage)
		equal(f.t, "ordinal", shard.Ordinal, 3+ordinal)
		equal(f.t, "sealed", f.sealed(packed(shard)).Sealed, 4+ordinal)
	}

	equal(f.t, "state", f.upload(stage).State, sqlrepo.Rescanning)
}

func sealStores(f *fixture) {
	stage := f.stage(f.in(f.source(f.space()), "one"))
	f.toPack(stage, planned(0))
	shard, calls := f.shard(stage), 0
	sealing := f.sealing(stage.Upload.ID)
	sealing.publish = func(ctx context.Context) error {
		calls++
		return ctx.Err()
	}
	must(f.sealShard(packed(shard), sealing))(f.t)
	equal(f.t, "calls", calls, 1)
	equal(f.t, "store", f.shards(stage)[0].Store, "one")

	// DAG shards are stored in the same way.
	dag := packed(sqlrepo.Shard{Ordinal: 1})
	sealing.Revision++
	f.ok(f.sealLinks(f.stage(stage.Upload), sqlrepo.LinkBatch{Shard: &dag}, sealing))
	equal(f.t, "calls", calls, 2)
	equal(f.t, "store", f.shards(stage)[1].Store, "one")
}

var errDiskFull = errors.New("disk full")

func sealStoreFails(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0))
	shard := f.shard(stage)
	sealing, before := f.sealing(stage.Upload.ID), f.everything()
	sealing.publish = func(context.Context) error { return errDiskFull }
	_, err := f.sealShard(packed(shard), sealing)
	f.fails(err, errDiskFull)
	equal(f.t, "everything", f.everything(), before)
	f.sealed(packed(shard))
}

// notStored fails the test if the shard reaches the store.
func notStored(f *fixture, with sealing) sealing {
	with.publish = func(context.Context) error {
		f.t.Error("the shard was stored")
		return nil
	}
	return with
}

func sealAfterOther(f *fixture) {
	space := f.space()
	stage, other := f.begin(f.source(space)), f.begin(f.source(space))
	f.toPack(stage, planned(0))
	f.toPack(other, planned(0))
	shard, sealing := f.shard(stage), f.sealing(stage.Upload.ID)
	f.sealed(packed(f.shard(other)))

	before := f.everything()
	_, err := f.sealShard(packed(shard), notStored(f, sealing))
	f.fails(err, sqlrepo.ErrSpaceChanged)
	equal(f.t, "everything", f.everything(), before)

	f.sealed(packed(f.claimOnly(f.newStage(), 0))) // a shard in another space changes nothing
	f.sealed(packed(shard))
}

func linkAfterOther(f *fixture) {
	space := f.space()
	stage, other := f.begin(f.source(space)), f.begin(f.source(space))
	files := f.add(stage, file("a", 1))
	shard, sealing := packed(sqlrepo.Shard{Ordinal: 0}), f.sealing(stage.Upload.ID)
	f.dag(other, 0)
	before := f.everything()
	batch := sqlrepo.LinkBatch{Roots: []sqlrepo.Root{{Entry: files[0].ID, CID: exampleCID()}}, Shard: &shard}
	f.fails(f.sealLinks(stage, batch, notStored(f, sealing)), sqlrepo.ErrSpaceChanged)
	equal(f.t, "everything", f.everything(), before)
	f.ok(f.link(stage, batch))
}
