package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func reports() []test {
	return []test{
		{"sum up packed shards", totals},
		{"list what was left out", leftOut},
		{"count entries", countEntries},
		{"count what belongs under the root", counts},
		{"sum up segments", segmentBytes},
		{"may follow an analysis", analyze},
	}
}

func totals(f *fixture) {
	run := f.newRun()
	equal(f.t, "nothing", must(f.Totals(f.ctx, run.Upload.ID))(f.t), sqlrepo.Totals{})
	for ordinal := range int64(3) {
		result := packed(f.claimOnly(run, ordinal))
		result.Shard.Size, result.Shard.Content = 1<<60+ordinal, 1<<58
		f.ok(f.SavePacked(f.ctx, run, result))
	}
	f.claimOnly(run, 3)
	f.plan(run, planned(4))
	other := f.newRun()
	f.ok(f.SavePacked(f.ctx, other, packed(f.claimOnly(other, 0))))
	equal(f.t, "totals", must(f.Totals(f.ctx, run.Upload.ID))(f.t),
		sqlrepo.Totals{Shards: 3, Nodes: 3, Size: 3<<60 + 3, Content: 3 << 58})
}

func leftOut(f *fixture) {
	run := f.newRun()
	all := []sqlrepo.Entry{file("a", 1), file("b", 1), file("c", 1), file("d", 1), file("e", 1)}
	for i, state := range []sqlrepo.EntryState{
		sqlrepo.Unsupported, sqlrepo.Ready, sqlrepo.Failed, sqlrepo.Rescanned, sqlrepo.Changed,
	} {
		all[i].State = state
	}
	added := f.add(run, all...)
	equal(f.t, "left out", collect(f.t, f.LeftOut(f.ctx, run.Upload.ID)), []sqlrepo.Entry{added[0], added[2], added[4]})
}

func countEntries(f *fixture) {
	run := f.newRun()
	failed := file("failed", 1)
	failed.State = sqlrepo.Failed
	f.add(run, file("a", 1), file("b", 1), failed)
	f.add(f.newRun(), file("a", 1))
	for state, want := range map[sqlrepo.EntryState]int64{sqlrepo.Ready: 2, sqlrepo.Failed: 1, sqlrepo.Changed: 0} {
		equal(f.t, "entries", must(f.CountEntries(f.ctx, run.Upload.ID, state))(f.t), want)
	}
}

func counts(f *fixture) {
	run := f.newRun()
	equal(f.t, "nothing", must(f.Counts(f.ctx, run.Upload.ID))(f.t), sqlrepo.Counts{})
	failed, rescanned := file("failed", 5), file("rescanned", 30)
	failed.State, rescanned.State = sqlrepo.Failed, sqlrepo.Rescanned
	f.add(run, directory(""), directory("d"), file("a", 1<<40), failed,
		entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("a")}), rescanned)
	f.add(f.newRun(), file("a", 1))
	equal(f.t, "counts", must(f.Counts(f.ctx, run.Upload.ID))(f.t),
		sqlrepo.Counts{Files: 2, Directories: 2, Symlinks: 1, Bytes: 1<<40 + 30})
}

// segmentBytes forgets a file whose content is packed: what its shard holds of it counts no more.
func segmentBytes(f *fixture) {
	run := f.newRun()
	files := f.add(run, file("a", 700), file("b", 700), file("c", 50))
	for ordinal, file := range files[:2] {
		f.ok(f.SavePacked(f.ctx, run, packed(f.claimOnly(run, int64(ordinal), file))))
	}
	f.plan(run, planned(2, sqlrepo.Segment{Entry: files[2].ID, Length: 50}))
	packedOnly := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	equal(f.t, "packed", must(f.SegmentBytes(f.ctx, run.Upload.ID, packedOnly))(f.t), 1400)
	equal(f.t, "all", must(f.SegmentBytes(f.ctx, run.Upload.ID, sqlrepo.ShardFilter{}))(f.t), 1450)
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{Vanished: []int64{files[0].ID}}))
	equal(f.t, "after one vanished", must(f.SegmentBytes(f.ctx, run.Upload.ID, packedOnly))(f.t), 700)
}

func analyze(f *fixture) {
	f.scenario()
	before := f.dump()
	f.ok(f.Analyze(f.ctx))
	equal(f.t, "dump", f.dump(), before)
}
