package conformance

import (
	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func uploads() []test {
	return []test{
		{"begin once and are resumed", resumeUpload},
		{"take other options when resumed", resumeOptions},
		{"keep their recipe once planned", resumeRecipe},
		{"know the one before", previousUpload},
		{"go through their states", uploadStates},
		{"are complete", completeUpload},
		{"are listed by space and source", listUploads},
		{"belong to a source", uploadNeedsSource},
	}
}

func (f *fixture) complete(run sqlrepo.Run) {
	f.t.Helper()
	f.ok(f.CompleteUpload(f.ctx, run, exampleCID(), sqlrepo.Counts{}))
}

func exampleCID() sqlrepo.CID {
	return sqlrepo.CID{Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")}
}

func resumeUpload(f *fixture) {
	source := f.source(f.space())
	_, err := f.UnfinishedUpload(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)
	first := f.begin(source)
	equal(f.t, "state", first.Upload.State, sqlrepo.Scanning)
	equal(f.t, "started", first.Upload.StartedAt, sqlrepo.NewTime(started))
	equal(f.t, "stored", must(f.Upload(f.ctx, first.Upload.ID))(f.t), first.Upload)
	equal(f.t, "unfinished", must(f.UnfinishedUpload(f.ctx, source.ID))(f.t), first.Upload)
	f.ok(f.SetState(f.ctx, first, sqlrepo.Packing))
	for before := first; before.Upload.Token < first.Upload.Token+3; {
		again := f.begin(source)
		if first.Resumed || !again.Resumed {
			f.t.Errorf("resumed: first %t, again %t", first.Resumed, again.Resumed)
		}
		equal(f.t, "upload", again.Upload.ID, first.Upload.ID)
		if again.Upload.Token <= before.Upload.Token {
			f.t.Errorf("token %d after %d", again.Upload.Token, before.Upload.Token)
		}
		equal(f.t, "stored", must(f.Upload(f.ctx, again.Upload.ID))(f.t), again.Upload)
		equal(f.t, "state", again.Upload.State, sqlrepo.Scanning)
		before = again
	}
	if other := f.newRun(); other.Resumed || other.Upload.ID == first.Upload.ID {
		f.t.Error("another source resumed the upload")
	}
}

func resumeOptions(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	changed := sqlrepo.Upload{Profile: "other", ShardSize: 2 * shardSize, SourceOptions: sqlrepo.SourceOptions{
		Excludes: sqlrepo.Lines{"new"}, SymlinkPolicy: "skip",
	}}
	again := must(f.BeginRun(f.ctx, source.ID, changed))(f.t)
	want := changed
	want.ID, want.Source, want.State = first.Upload.ID, source.ID, sqlrepo.Scanning
	want.Token, want.StartedAt = again.Upload.Token, first.Upload.StartedAt
	equal(f.t, "upload", again.Upload, want)
	equal(f.t, "stored", must(f.Upload(f.ctx, again.Upload.ID))(f.t), want)
}

func resumeRecipe(f *fixture) {
	source := f.source(f.space())
	f.plan(f.begin(source), planned(0))
	before := must(f.UnfinishedUpload(f.ctx, source.ID))(f.t)
	for _, other := range []sqlrepo.Upload{
		{Profile: "other", ShardSize: shardSize}, {Profile: "profile", ShardSize: shardSize - 1},
	} {
		_, err := f.BeginRun(f.ctx, source.ID, other)
		f.fails(err, sqlrepo.ErrRecipe)
		equal(f.t, "upload", must(f.Upload(f.ctx, before.ID))(f.t), before)
	}
	larger := must(f.BeginRun(f.ctx, source.ID, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize + 1}))(f.t)
	equal(f.t, "upload", larger.Upload.ID, before.ID)
	equal(f.t, "shard size", must(f.Upload(f.ctx, before.ID))(f.t).ShardSize, shardSize+1)
}

func previousUpload(f *fixture) {
	space := f.space()
	source, other := f.source(space), f.source(space)
	first := f.begin(source)
	equal(f.t, "before the first", first.Previous, 0)
	f.complete(first)
	f.complete(f.begin(other))
	second := f.begin(source)
	equal(f.t, "before the second", second.Previous, first.Upload.ID)
	equal(f.t, "before the second, resumed", f.begin(source).Previous, first.Upload.ID)
	f.complete(f.begin(source))
	equal(f.t, "before the third", f.begin(source).Previous, second.Upload.ID)
	f.complete(f.begin(source))
	another := fresh(source)
	another.Profile = "other"
	equal(f.t, "of another profile", must(f.BeginRun(f.ctx, source.ID, another))(f.t).Previous, 0)
}

func uploadStates(f *fixture) {
	run := f.newRun()
	for _, state := range []sqlrepo.UploadState{sqlrepo.Planning, sqlrepo.Packing, sqlrepo.Linking, sqlrepo.Scanning} {
		f.ok(f.SetState(f.ctx, run, state))
		equal(f.t, "state", must(f.Upload(f.ctx, run.Upload.ID))(f.t).State, state)
	}
	_, err := f.Upload(f.ctx, run.Upload.ID+1)
	f.fails(err, sqlrepo.ErrNotFound)
}

func completeUpload(f *fixture) {
	source := f.source(f.space())
	run, bystander := f.begin(source), f.newRun()
	counts := sqlrepo.Counts{Files: 1, Directories: 2, Symlinks: 3, Bytes: 1 << 50}
	f.ok(f.CompleteUpload(f.ctx, run, exampleCID(), counts))
	want := run.Upload
	want.State, want.RootCID, want.Counts = sqlrepo.Complete, exampleCID(), counts
	want.FinishedAt = sqlrepo.NewTime(started)
	equal(f.t, "upload", must(f.Upload(f.ctx, run.Upload.ID))(f.t), want)
	equal(f.t, "bystander", must(f.Upload(f.ctx, bystander.Upload.ID))(f.t), bystander.Upload)
	_, err := f.UnfinishedUpload(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)
	if next := f.begin(source); next.Resumed || next.Upload.ID == run.Upload.ID {
		f.t.Error("a complete upload was resumed")
	}
}

func listUploads(f *fixture) {
	space, other := f.space(), f.space()
	source := f.source(space)
	a, b, c := f.begin(source).Upload, f.begin(f.source(space)).Upload, f.begin(f.source(other)).Upload
	none := int64(1000)
	for _, list := range []struct {
		filter sqlrepo.UploadFilter
		want   []sqlrepo.Upload
	}{
		{sqlrepo.UploadFilter{}, []sqlrepo.Upload{a, b, c}},
		{sqlrepo.UploadFilter{Space: &space.ID}, []sqlrepo.Upload{a, b}},
		{sqlrepo.UploadFilter{Source: &source.ID}, []sqlrepo.Upload{a}},
		{sqlrepo.UploadFilter{Space: &other.ID, Source: &source.ID}, nil},
		{sqlrepo.UploadFilter{Space: &none}, nil},
	} {
		equal(f.t, "uploads", must(f.Uploads(f.ctx, list.filter))(f.t), list.want)
	}
}

func uploadNeedsSource(f *fixture) {
	_, err := f.BeginRun(f.ctx, 7, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize})
	f.fails(err, sqlrepo.ErrMissingReference)
	equal(f.t, "uploads", len(must(f.Uploads(f.ctx, sqlrepo.UploadFilter{}))(f.t)), 0)
}
