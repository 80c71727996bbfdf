package conformance

import (
	"github.com/guppy-prep/guppy/sqlrepo"
)

// restartUpload takes away the leases that have ended, and brings back the work that was set aside.
func restartUpload(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	f.toPack(stage, planned(0), planned(1), planned(2), planned(3))
	f.sealed(packed(f.shard(stage)))
	f.ok(f.SetAside(f.ctx, f.shard(stage), "damaged"))
	f.ok(f.Fail(f.ctx, f.shard(stage), "failed", 3*term))
	f.shard(stage)
	f.expire()
	shard := f.shard(stage)
	equal(f.t, "attempts", shard.Attempts, 1)
	f.expire()

	opened := f.open(source)
	want := f.upload(stage)
	equal(f.t, "opened", opened, sqlrepo.Opened{Upload: want, Resumed: true})
	equal(f.t, "state", want.State, sqlrepo.Scanning)
	equal(f.t, "began", want.StageBegan, sqlrepo.NewTime(f.now))
	equal(f.t, "aside", want.AsideShards, 0)
	equal(f.t, "lease", want.Lease, sqlrepo.Lease{})
	for _, shard := range f.shards(stage) {
		equal(f.t, "lease", shard.Lease, sqlrepo.Lease{})
	}
	f.fails(f.Renew(f.ctx, shard, term, 0), sqlrepo.ErrLeaseLost)

	// All shards but the sealed one can be claimed again.
	stage = must(f.Advance(f.ctx, f.stage(want), sqlrepo.Planning))(f.t)
	equal(f.t, "sealed", stage.Upload.Sealed, 1)
	f.packing(stage)
	for ordinal := range int64(3) {
		equal(f.t, "ordinal", f.shard(stage).Ordinal, ordinal+1)
	}
}

func reopenOptions(f *fixture) {
	source := f.source(f.space())
	first := f.open(source).Upload
	changed := sqlrepo.Upload{Profile: "other", ShardSize: shardSize / 2, Store: f.store("store"), SkipFailed: true,
		SourceOptions: sqlrepo.SourceOptions{Excludes: sqlrepo.Lines{"new"}, SymlinkPolicy: "skip"}}
	again := must(f.OpenUpload(f.ctx, source.ID, changed))(f.t)

	want := changed
	want.ID, want.Source, want.State = first.ID, source.ID, sqlrepo.Scanning
	want.IndexLayout, want.IndexSlices = sqlrepo.DefaultIndexLayout, sqlrepo.DefaultIndexSlices
	want.StartedAt, want.StageBegan = first.StartedAt, sqlrepo.NewTime(started)

	equal(f.t, "upload", again.Upload, want)
	equal(f.t, "stored", must(f.Upload(f.ctx, first.ID))(f.t), want)
}

// openWithOptions changes the options of a source together with those of its upload, or neither.
func openWithOptions(f *fixture) {
	source := f.source(f.space())
	for round, excludes := range []sqlrepo.Lines{{"new"}, {"newer"}} {
		wanted := fresh(source)
		wanted.SourceOptions = sqlrepo.SourceOptions{Excludes: excludes, SymlinkPolicy: "skip"}
		opened := must(f.OpenUploadWithOptions(f.ctx, source.ID, wanted))(f.t)
		equal(f.t, "resumed", opened.Resumed, round > 0)
		equal(f.t, "of the upload", opened.Upload.SourceOptions, wanted.SourceOptions)
		equal(f.t, "of the source", must(f.Source(f.ctx, source.ID))(f.t).SourceOptions, wanted.SourceOptions)
	}

	f.stage(f.open(source).Upload)
	before, other := f.everything(), fresh(source)
	other.Excludes = sqlrepo.Lines{"newest"}
	_, err := f.OpenUploadWithOptions(f.ctx, source.ID, other)
	f.fails(err, sqlrepo.ErrAtWork)
	equal(f.t, "everything", f.everything(), before)
}

func reopenRecipe(f *fixture) {
	source := f.source(f.space())
	f.plan(f.begin(source), planned(0))
	f.expire()
	before := must(f.UnfinishedUpload(f.ctx, source.ID))(f.t)

	for _, other := range []sqlrepo.Upload{
		{Profile: "other", ShardSize: shardSize}, {Profile: "profile", ShardSize: shardSize - 1},
	} {
		_, err := f.OpenUpload(f.ctx, source.ID, other)
		f.fails(err, sqlrepo.ErrRecipe)
		equal(f.t, "upload", must(f.Upload(f.ctx, before.ID))(f.t), before)
	}

	larger := must(f.OpenUpload(f.ctx, source.ID, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize + 1}))(f.t)
	equal(f.t, "upload", larger.Upload.ID, before.ID)
	equal(f.t, "shard size", must(f.Upload(f.ctx, before.ID))(f.t).ShardSize, shardSize+1)
}

func reopenStore(f *fixture) {
	source := f.source(f.space())
	with := func(store string) (sqlrepo.Opened, error) {
		return f.OpenUpload(f.ctx, source.ID, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize, Store: f.store(store)})
	}

	// Without shards the upload may change its store.
	must(with("one"))(f.t)
	opened := must(with("two"))(f.t)
	equal(f.t, "store", opened.Upload.Store, "two")

	stage := f.stage(opened.Upload)
	f.toPack(stage, planned(0), planned(1))
	f.sealed(packed(f.shard(stage)))

	before := f.upload(stage)
	_, err := with("one")
	f.fails(err, sqlrepo.ErrOtherStore)
	equal(f.t, "upload", f.upload(stage), before)
	equal(f.t, "again", must(with("two"))(f.t).Upload.ID, before.ID)
}

// in opens an upload of a source in a store.
func (f *fixture) in(source sqlrepo.Source, store string) sqlrepo.Upload {
	f.t.Helper()
	wanted := fresh(source)
	wanted.Store = f.store(store)
	return must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t).Upload
}

// reopenSharing has uploads depend on stored content: a chunk that was not stored again, and an earlier entry.
func reopenSharing(f *fixture) {
	emptied, sharing := f.source(f.space()), f.source(f.space())
	for _, source := range []sqlrepo.Source{emptied, sharing} {
		f.in(source, "one")
		f.in(source, "two")
	}

	stage := f.stage(f.in(emptied, "two"))
	files := f.add(stage, file("a", 700))
	f.toPack(stage, planFor(0, files...), planned(1))
	empty := holding(f.shard(stage))

	// The content of the shard is stored elsewhere.
	empty.Shard.State = sqlrepo.ShardEmpty
	f.sealed(empty)

	shared := file("a", 700)
	shared.Origin = files[0].ID
	f.add(f.stage(f.in(sharing, "two")), shared)
	f.expire()

	for _, source := range []sqlrepo.Source{emptied, sharing} {
		wanted := fresh(source)
		wanted.Store = "one"
		_, err := f.OpenUpload(f.ctx, source.ID, wanted)
		f.fails(err, sqlrepo.ErrOtherStore)
		equal(f.t, "store", f.in(source, "two").Store, "two")
	}
}
