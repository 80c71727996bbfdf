package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func reports() []test {
	return []test{
		{"sum up packed shards", totals},
		{"list what was left out", leftOut},
		{"count entries", countEntries},
		{"count what belongs under the root", counts},
		{"may follow an analysis", analyze},
	}
}

func totals(f *fixture) {
	stage := f.newStage()
	equal(f.t, "nothing", must(f.Totals(f.ctx, stage.Upload.ID))(f.t), sqlrepo.Totals{})
	f.toPack(stage, planned(0), planned(1), planned(2), planned(3), planned(4))
	for ordinal := range int64(3) {
		result := packed(f.shard(stage))
		result.Shard.Size, result.Shard.Content = 1<<60+ordinal, 1<<58
		f.sealed(result)
	}
	f.shard(stage)
	f.sealed(packed(f.claimOnly(f.newStage(), 0)))
	equal(f.t, "totals", must(f.Totals(f.ctx, stage.Upload.ID))(f.t),
		sqlrepo.Totals{Shards: 3, Nodes: 3, Size: 3<<60 + 3, Content: 3 << 58})
}

func leftOut(f *fixture) {
	stage := f.newStage()
	all := []sqlrepo.Entry{file("a", 1), file("b", 1), file("c", 1), file("d", 1), file("e", 1)}
	for i, state := range []sqlrepo.EntryState{
		sqlrepo.Unsupported, sqlrepo.Ready, sqlrepo.Failed, sqlrepo.Rescanned, sqlrepo.Changed,
	} {
		all[i].State = state
	}
	added := f.add(stage, all...)
	equal(f.t, "left out", collect(f.t, f.LeftOut(f.ctx, stage.Upload.ID)), []sqlrepo.Entry{added[0], added[2], added[4]})
}

func countEntries(f *fixture) {
	stage := f.newStage()
	failed := file("failed", 1)
	failed.State = sqlrepo.Failed
	f.add(stage, file("a", 1), file("b", 1), failed)
	f.add(f.newStage(), file("a", 1))
	for state, want := range map[sqlrepo.EntryState]int64{sqlrepo.Ready: 2, sqlrepo.Failed: 1, sqlrepo.Changed: 0} {
		equal(f.t, "entries", must(f.CountEntries(f.ctx, stage.Upload.ID, state))(f.t), want)
	}
}

func counts(f *fixture) {
	stage := f.newStage()
	equal(f.t, "nothing", must(f.Counts(f.ctx, stage.Upload.ID))(f.t), sqlrepo.Counts{})
	failed, rescanned := file("failed", 5), file("rescanned", 30)
	failed.State, rescanned.State = sqlrepo.Failed, sqlrepo.Rescanned
	f.add(stage, directory(""), directory("d"), file("a", 1<<40), failed,
		entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("a")}), rescanned)
	f.add(f.newStage(), file("a", 1))
	equal(f.t, "counts", must(f.Counts(f.ctx, stage.Upload.ID))(f.t),
		sqlrepo.Counts{Files: 2, Directories: 2, Symlinks: 1, Bytes: 1<<40 + 30})
}

func analyze(f *fixture) {
	f.scenario()
	before := f.dump()
	f.ok(f.Analyze(f.ctx))
	equal(f.t, "dump", f.dump(), before)
}
