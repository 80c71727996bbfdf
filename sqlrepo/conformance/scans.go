package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func scans() []test {
	return []test{
		{"add entries in order", scanAdds},
		{"change, keep and remove", scanChanges},
		{"forget the content of what changed", scanForgets},
		{"are atomic", scanIsAtomic},
		{"of many changes", scanManyChanges},
		{"make reasons fit", scanReasons},
	}
}

func scanAdds(f *fixture) {
	run, other := f.newRun(), f.newRun()
	first := f.add(run, file("b", 1), file("a", 2))
	second := f.add(other, file("a", 3))
	equal(f.t, "keys", append(keys(first), keys(second)...), []int64{1, 2, 3})
	equal(f.t, "upload", second[0].Upload, other.Upload.ID)
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{}))
	equal(f.t, "length", sqlrepo.ScanBatch{Added: first, Changed: second, Vanished: []int64{1}}.Len(), 4)
}

func scanChanges(f *fixture) {
	run := f.newRun()
	old := f.add(run, file("a", 1), file("b", 2), file("c", 3))
	changed := file("b", 20)
	changed.ID, changed.State = old[1].ID, sqlrepo.Rescanned
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{
		Added: []sqlrepo.Entry{file("d", 4)}, Changed: []sqlrepo.Entry{changed}, Vanished: []int64{old[0].ID},
	}))
	got := collect(f.t, f.Entries(f.ctx, run.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "keys", keys(got), []int64{2, 3, 4})
	equal(f.t, "changed", got[0].Fingerprint, changed.Fingerprint)
	equal(f.t, "state", got[0].State, sqlrepo.Rescanned)
	equal(f.t, "kept", got[1], old[2])
}

// linkedFiles are files whose content is planned, packed and linked, each in a shard of its own.
func (f *fixture) linkedFiles(run sqlrepo.Run, names ...string) (files []sqlrepo.Entry) {
	f.t.Helper()
	var batch sqlrepo.LinkBatch
	for i, name := range names {
		files = append(files, f.add(run, file(name, 700))...)
		f.plan(run, planned(int64(i), sqlrepo.Segment{Entry: files[i].ID, Length: 700}))
		f.ok(f.SavePacked(f.ctx, run, packed(must(f.ClaimShard(f.ctx, run))(f.t))))
		batch.Roots = append(batch.Roots, sqlrepo.Root{Entry: files[i].ID, CID: exampleCID(), DAGSize: 700})
	}
	f.ok(f.SaveLinks(f.ctx, run, batch))
	return files
}

func scanForgets(f *fixture) {
	run := f.newRun()
	files := f.linkedFiles(run, "a", "b", "c")
	changed := file("a", 800)
	changed.ID = files[0].ID
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{Changed: []sqlrepo.Entry{changed}, Vanished: []int64{files[1].ID}}))
	for _, table := range []string{"segments", "roots"} {
		rows := f.rows(table)
		if len(rows) != 1 || rows[0]["entry"] != float64(files[2].ID) {
			f.t.Errorf("%s left: %v", table, rows)
		}
	}
	equal(f.t, "shards", len(f.rows("shards")), 3)
	equal(f.t, "nodes", len(f.rows("nodes")), 3)
	equal(f.t, "unplanned", unplannedPaths(f, run), []string{"a"})
}

func scanIsAtomic(f *fixture) {
	run := f.newRun()
	old := f.add(run, file("a", 1), file("b", 1))
	before := f.dump()
	err := f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{
		Added: []sqlrepo.Entry{file("c", 1), file("b", 1)}, Vanished: []int64{old[0].ID},
	})
	f.fails(err, sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
}

func scanManyChanges(f *fixture) {
	run := f.newRun()
	added := f.add(run, many(4500)...)
	for i := range added {
		added[i].Size++
	}
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{Changed: added[:2200], Vanished: keys(added[2200:])}))
	equal(f.t, "left", collect(f.t, f.Entries(f.ctx, run.Upload.ID, sqlrepo.EntryFilter{})), added[:2200])
}

func scanReasons(f *fixture) {
	run := f.newRun()
	bad := file("a", 1)
	bad.State, bad.Reason = sqlrepo.Failed, "nul \x00 and \xff\xfe ?"
	f.add(run, bad)
	got := collect(f.t, f.Entries(f.ctx, run.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "reason", got[0].Reason, "nul \uFFFD and \uFFFD ?")
}
