package conformance

import (
	"context"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func uploads() []test {
	return []test{
		{"begin once and are opened again", openUpload},
		{"are joined while somebody is at work", joinUpload},
		{"are joined as they are", joinAtWork},
		{"begin again when nobody is at work", restartUpload},
		{"are opened by many at once", openAtOnce},
		{"take other options when opened again", reopenOptions},
		{"give their source their options", openWithOptions},
		{"keep their recipe once planned", reopenRecipe},
		{"stay in the store that has their shards", reopenStore},
		{"stay in the store that has what they share", reopenSharing},
		{"know the one before", previousUpload},
		{"know the one before in their store", previousInStore},
		{"know the latest of a space", latestUpload},
		{"go through their states", uploadStates},
		{"go through no other states", strangeStates},
		{"pack when there is something to pack", advanceToPacking},
		{"are incomplete until they are opened again", incompleteUpload},
		{"are complete", completeUpload},
		{"are listed by space and source", listUploads},
		{"belong to a source", uploadNeedsSource},
	}
}

func (f *fixture) complete(stage sqlrepo.Stage) {
	f.t.Helper()
	must(f.finish(stage, exampleCID(), sqlrepo.Counts{}))(f.t)
}

// finish completes an upload that has nothing to index.
func (f *fixture) finish(stage sqlrepo.Stage, root sqlrepo.CID,
	counts sqlrepo.Counts) (upload sqlrepo.Upload, err error) {
	f.t.Helper()
	if stage, err = f.BeginIndexing(f.ctx, stage, root, counts); err != nil {
		return upload, err
	}
	return f.CompleteUpload(f.ctx, stage, nil)
}

// BeginIndexing links what is not linked yet, and then calls the method of the repository.
func (f *fixture) BeginIndexing(ctx context.Context, stage sqlrepo.Stage, root sqlrepo.CID,
	counts sqlrepo.Counts) (next sqlrepo.Stage, err error) {
	f.t.Helper()
	if stage, err = f.reach(stage, sqlrepo.Linking); err != nil {
		return stage, err
	}

	batch := sqlrepo.LinkBatch{Stage: stage}
	for _, entry := range collect(f.t, f.Contents(ctx, stage.Upload.ID, sqlrepo.Ready, sqlrepo.Rescanned)) {
		if entry.Origin == 0 && entry.Known == nil {
			batch.Roots = append(batch.Roots, sqlrepo.Root{Entry: entry.ID, CID: exampleCID(), DAGSize: 1})
		}
	}

	if err := f.SaveLinks(ctx, batch); err != nil {
		return stage, err
	}
	return f.Repository.BeginIndexing(ctx, stage, root, counts)
}

func exampleCID() sqlrepo.CID {
	return sqlrepo.CID{Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")}
}

func openUpload(f *fixture) {
	source := f.source(f.space())
	_, err := f.UnfinishedUpload(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)

	first := f.open(source)
	want := fresh(source)
	want.ID, want.Source, want.State = first.Upload.ID, source.ID, sqlrepo.Scanning
	want.StartedAt = sqlrepo.NewTime(started)
	equal(f.t, "opened", first, sqlrepo.Opened{Upload: want})
	want.StageBegan = sqlrepo.NewTime(started)
	equal(f.t, "stored", must(f.Upload(f.ctx, want.ID))(f.t), want)
	equal(f.t, "unfinished", must(f.UnfinishedUpload(f.ctx, source.ID))(f.t), want)

	for range 3 {
		equal(f.t, "again", f.open(source), sqlrepo.Opened{Upload: want, Resumed: true})
		equal(f.t, "stored", must(f.Upload(f.ctx, want.ID))(f.t), want)
	}

	if other := f.open(f.source(f.space())); other.Resumed || other.Upload.ID == want.ID {
		f.t.Error("another source resumed the upload")
	}
}

// joinUpload joins while there is a lease on the stage, and while there is one on a shard.
func joinUpload(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	joined := func(want bool) {
		f.t.Helper()
		before := f.everything()
		opened := f.open(source)
		equal(f.t, "joined", opened.Joined, want)
		equal(f.t, "resumed", opened.Resumed, true)
		equal(f.t, "upload", opened.Upload, f.upload(stage))
		if want {
			equal(f.t, "everything", f.everything(), before)
		}
	}

	joined(true)
	f.pass(term)
	joined(true) // the lease ends now, but has not ended

	f.toPack(stage, planned(0), planned(1))
	shard := f.shard(stage)
	joined(true)

	f.expire()
	f.ok(f.Renew(f.ctx, shard, term, 0))
	joined(true)
	f.expire()
	joined(false)
	f.fails(f.Renew(f.ctx, shard, term, 0), sqlrepo.ErrLeaseLost)
}

func joinAtWork(f *fixture) {
	source := f.source(f.space())
	f.begin(source)
	for what, change := range map[string]func(*sqlrepo.Upload){
		"profile":  func(u *sqlrepo.Upload) { u.Profile = "other" },
		"larger":   func(u *sqlrepo.Upload) { u.ShardSize++ },
		"smaller":  func(u *sqlrepo.Upload) { u.ShardSize-- },
		"excludes": func(u *sqlrepo.Upload) { u.Excludes = sqlrepo.Lines{"new"} },
		"symlinks": func(u *sqlrepo.Upload) { u.SymlinkPolicy = "skip" },
		"store":    func(u *sqlrepo.Upload) { u.Store = f.store("another") },
	} {
		f.t.Log(what)
		other := fresh(source)
		change(&other)
		before := f.everything()
		_, err := f.OpenUpload(f.ctx, source.ID, other)
		f.fails(err, sqlrepo.ErrAtWork)
		equal(f.t, what, f.everything(), before)
	}

	other := fresh(source)

	// Only the treatment of failures may differ.
	other.SkipFailed = true
	equal(f.t, "joined", must(f.OpenUpload(f.ctx, source.ID, other))(f.t).Joined, true)
}

func openAtOnce(f *fixture) {
	source := f.source(f.space())
	var group sync.WaitGroup
	uploads := make([]int64, 4)
	for i := range uploads {
		group.Go(func() {
			opened, err := f.OpenUpload(f.ctx, source.ID, fresh(source))
			if err != nil {
				f.t.Error(err)
			}
			uploads[i] = opened.Upload.ID
		})
	}

	group.Wait()
	for _, upload := range uploads {
		equal(f.t, "upload", upload, uploads[0])
	}
	equal(f.t, "uploads", len(must(f.Uploads(f.ctx, sqlrepo.UploadFilter{}))(f.t)), 1)
}

func previousInStore(f *fixture) {
	source := f.source(f.space())
	previous := func(store string) int64 {
		f.t.Helper()
		return must(f.PreviousUpload(f.ctx, sqlrepo.Upload{Source: source.ID, Profile: "profile", Store: store}))(f.t)
	}

	one := f.in(source, "one").ID
	f.complete(f.stage(f.in(source, "one")))
	two := f.in(source, "two").ID
	f.complete(f.stage(f.in(source, "two")))

	for store, want := range map[string]int64{"one": one, "two": two, "three": 0, "": two} {
		equal(f.t, "before one in "+store, previous(store), want)
	}

	// Older uploads have no store, and may be in any.
	f.execute("UPDATE uploads SET store = NULL WHERE store = 'one'")
	equal(f.t, "where the store of one is not known", previous("three"), one)
}

func previousUpload(f *fixture) {
	space := f.space()
	source, other := f.source(space), f.source(space)
	previous := func(u sqlrepo.Upload) int64 {
		f.t.Helper()
		return must(f.PreviousUpload(f.ctx, u))(f.t)
	}

	first := f.begin(source)
	equal(f.t, "before the first", previous(first.Upload), 0)
	f.complete(first)
	f.complete(f.begin(other))

	second := f.begin(source)
	equal(f.t, "before the second", previous(second.Upload), first.Upload.ID)
	equal(f.t, "before the second, opened again", previous(f.again(source).Upload), first.Upload.ID)
	f.complete(f.again(source))
	equal(f.t, "before the third", previous(f.begin(source).Upload), second.Upload.ID)
	f.complete(f.again(source))

	another := fresh(source)
	another.Profile = "other"
	equal(f.t, "of another profile", previous(must(f.OpenUpload(f.ctx, source.ID, another))(f.t).Upload), 0)
}

// latestUpload has a later upload that is not complete, and one of another space.
func latestUpload(f *fixture) {
	space, other := f.space(), f.space()
	_, err := f.LatestUpload(f.ctx, space.ID)
	f.fails(err, sqlrepo.ErrNotFound)

	source := f.source(space)
	first, second := f.begin(source), f.begin(f.source(space))
	f.complete(second)
	f.complete(first)
	f.begin(source)
	f.complete(f.begin(f.source(other)))
	equal(f.t, "latest", must(f.LatestUpload(f.ctx, space.ID))(f.t), second.Upload.ID)

	f.ok(f.RemoveUpload(f.ctx, second.Upload.ID))
	equal(f.t, "latest that is left", must(f.LatestUpload(f.ctx, space.ID))(f.t), first.Upload.ID)
}

func uploadStates(f *fixture) {
	stage := f.newStage()
	f.plan(stage, planned(0))
	f.ok(f.Renew(f.ctx, stage, term, 7))
	stage = must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	equal(f.t, "progress", stage.Upload.Progress, 0)
	must(f.Advance(f.ctx, stage, sqlrepo.Packing))(f.t)

	stage = f.stage(f.sealed(packed(f.shard(stage))))
	for _, state := range []sqlrepo.UploadState{sqlrepo.Scanning, sqlrepo.Planning} {
		f.ok(f.Renew(f.ctx, stage, term, 7))
		f.pass(term / 10)
		token := stage.Upload.Token
		stage = must(f.Advance(f.ctx, stage, state))(f.t)
		equal(f.t, "state", stage.Upload.State, state)
		equal(f.t, "token", stage.Upload.Token, token)
		equal(f.t, "progress", stage.Upload.Progress, 0)
		equal(f.t, "began", stage.Upload.StageBegan, sqlrepo.NewTime(f.now))
		equal(f.t, "stored", f.upload(stage), stage.Upload)
	}

	stage = must(f.reach(stage, sqlrepo.Linking))(f.t)
	equal(f.t, "stored", f.upload(stage), stage.Upload)
	_, err := f.Upload(f.ctx, stage.Upload.ID+1)
	f.fails(err, sqlrepo.ErrNotFound)
}

// strangeStates checks that only the permitted states follow a state.
func strangeStates(f *fixture) {
	may := map[sqlrepo.UploadState][]sqlrepo.UploadState{
		sqlrepo.Scanning:   {sqlrepo.Planning},
		sqlrepo.Planning:   {sqlrepo.Packing, sqlrepo.Rescanning},
		sqlrepo.Rescanning: {sqlrepo.Scanning, sqlrepo.Linking, sqlrepo.Incomplete},
		sqlrepo.Linking:    {sqlrepo.Incomplete},
	}

	stage := f.newStage()
	for _, state := range []sqlrepo.UploadState{
		sqlrepo.Scanning, sqlrepo.Planning, sqlrepo.Rescanning, sqlrepo.Linking,
	} {
		stage = must(f.reach(stage, state))(f.t)
		before := f.everything()
		for next := sqlrepo.UploadState(0); next <= sqlrepo.Indexing+1; next++ {
			if !slices.Contains(may[state], next) {
				_, err := f.Advance(f.ctx, stage, next)
				f.fails(err, sqlrepo.ErrState)
			}
		}
		equal(f.t, "everything", f.everything(), before)
	}

	indexing := must(f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{}))(f.t)
	_, err := f.Advance(f.ctx, indexing, sqlrepo.Complete)
	f.fails(err, sqlrepo.ErrState)
}

// advanceToPacking goes on to Rescanning if there is nothing to pack. In both cases the stage is released.
func advanceToPacking(f *fixture) {
	empty := f.newStage()
	equal(f.t, "nothing planned", f.packing(empty).State, sqlrepo.Rescanning)
	equal(f.t, "stored", f.upload(empty).Lease, sqlrepo.Lease{})

	stage := f.stage(empty.Upload)
	f.plan(stage, planned(0))
	upload := f.packing(stage)
	equal(f.t, "planned", upload.State, sqlrepo.Packing)
	equal(f.t, "lease", upload.Lease, sqlrepo.Lease{})
	equal(f.t, "stored", f.upload(stage), upload)

	stage = f.stage(f.sealed(packed(f.shard(stage))))
	equal(f.t, "all packed", f.packing(stage).State, sqlrepo.Rescanning)
}

func incompleteUpload(f *fixture) {
	source := f.source(f.space())
	stage := must(f.reach(f.begin(source), sqlrepo.Rescanning))(f.t)
	upload := must(f.Advance(f.ctx, stage, sqlrepo.Incomplete))(f.t).Upload
	equal(f.t, "state", upload.State, sqlrepo.Incomplete)

	equal(f.t, "ended", upload.Ended(), true)
	_, err := f.ClaimStage(f.ctx, claim("worker"), upload.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)
	equal(f.t, "unfinished", must(f.UnfinishedUpload(f.ctx, source.ID))(f.t), upload)

	again := f.begin(source).Upload
	equal(f.t, "again", again.ID, upload.ID)
	equal(f.t, "state", again.State, sqlrepo.Scanning)
}

func completeUpload(f *fixture) {
	source := f.source(f.space())
	stage, bystander := f.begin(source), f.newStage()
	counts := sqlrepo.Counts{Files: 1, Directories: 2, Symlinks: 3, Bytes: 1 << 50}
	completed := must(f.finish(stage, exampleCID(), counts))(f.t)
	equal(f.t, "completed", completed, f.upload(stage))

	want := stage.Upload
	want.State, want.RootCID, want.Counts = sqlrepo.Complete, exampleCID(), counts
	want.FinishedAt, want.Lease = sqlrepo.NewTime(started), sqlrepo.Lease{}
	equal(f.t, "upload", f.upload(stage), want)
	equal(f.t, "ended", want.Ended(), true)
	equal(f.t, "bystander", f.upload(bystander), bystander.Upload)

	_, err := f.UnfinishedUpload(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)
	_, err = f.ClaimStage(f.ctx, claim("worker"), want.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)

	if next := f.open(source); next.Resumed || next.Upload.ID == want.ID {
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
	_, err := f.OpenUpload(f.ctx, 7, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize})
	f.fails(err, sqlrepo.ErrMissingReference)
	equal(f.t, "uploads", len(must(f.Uploads(f.ctx, sqlrepo.UploadFilter{}))(f.t)), 0)
}
