package conformance

import (
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func scans() []test {
	return []test{
		{"add entries in order", scanAdds},
		{"change, keep and remove", scanChanges},
		{"forget the content of what changed", scanForgets},
		{"keep the content of what is touched", scanTouches},
		{"keep the content of what can't be reached", scanUnreachable},
		{"reach nothing of others", scanMarksOnly},
		{"are atomic", scanIsAtomic},
		{"of many changes", scanManyChanges},
		{"make reasons fit", scanReasons},
	}
}

func scanAdds(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	first := f.add(stage, file("b", 1), file("a", 2))
	second := f.add(other, file("a", 3))
	equal(f.t, "keys", append(keys(first), keys(second)...), []int64{1, 2, 3})
	equal(f.t, "upload", second[0].Upload, other.Upload.ID)
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{}))
	equal(f.t, "length", sqlrepo.ScanBatch{Added: first, Changed: second, Vanished: []int64{1}}.Len(), 4)
}

func scanChanges(f *fixture) {
	stage := f.newStage()
	old := f.add(stage, file("a", 1), file("b", 2), file("c", 3))
	changed := file("b", 20)
	changed.ID, changed.State = old[1].ID, sqlrepo.Rescanned

	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{
		Added: []sqlrepo.Entry{file("d", 4)}, Changed: []sqlrepo.Entry{changed}, Vanished: []int64{old[0].ID},
	}))

	got := collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "keys", keys(got), []int64{2, 3, 4})
	equal(f.t, "changed", got[0].Fingerprint, changed.Fingerprint)
	equal(f.t, "state", got[0].State, sqlrepo.Rescanned)
	equal(f.t, "kept", got[1], old[2])
}

// linkedFiles adds files whose content is planned, packed and linked, each in its own shard. The worker claims the
// stage again afterwards.
func (f *fixture) linkedFiles(stage *sqlrepo.Stage, names ...string) (files []sqlrepo.Entry) {
	f.t.Helper()
	var batch sqlrepo.LinkBatch
	var plan []sqlrepo.PlannedShard
	for i, name := range names {
		files = append(files, f.add(*stage, file(name, 700))...)
		plan = append(plan, planFor(int64(i), files[i]))
		batch.Roots = append(batch.Roots, sqlrepo.Root{Entry: files[i].ID, CID: exampleCID(), DAGSize: 700})
	}

	f.toPack(*stage, plan...)
	for range names {
		f.sealed(packed(f.shard(*stage)))
	}

	*stage = f.stage(stage.Upload)
	f.ok(f.link(*stage, batch))
	return files
}

func scanForgets(f *fixture) {
	stage := f.newStage()
	files := f.linkedFiles(&stage, "a", "b", "c")
	changed := file("a", 800)
	changed.ID = files[0].ID

	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Changed: []sqlrepo.Entry{changed}, Vanished: []int64{files[1].ID}}))
	for _, table := range []string{"segments", "roots"} {
		rows := f.rows(table)
		if len(rows) != 1 || rows[0]["entry"] != float64(files[2].ID) {
			f.t.Errorf("%s left: %v", table, rows)
		}
	}

	equal(f.t, "shards", len(f.rows("shards")), 3)
	equal(f.t, "nodes", len(f.rows("nodes")), 3)
	equal(f.t, "unplanned", unplannedPaths(f, stage), []string{"a"})
}

// scanTouches gives files another mode: one file that is linked, and many others.
func scanTouches(f *fixture) {
	stage := f.newStage()
	files := f.linkedFiles(&stage, "a", "b")
	kept := map[string][]map[string]any{"segments": f.rows("segments"), "roots": f.rows("roots")}
	files = append(files, f.add(stage, many(2500)...)...)

	batch := sqlrepo.ScanBatch{}
	for i, file := range files {
		if i > 0 {
			file.Mode, file.Ctime = 0o600, 77
			files[i] = file
			batch.Touched = append(batch.Touched, file)
		}
	}

	equal(f.t, "length", batch.Len(), 2501)
	f.ok(f.SaveScan(f.ctx, stage, batch))
	slices.SortFunc(files, func(a, b sqlrepo.Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	equal(f.t, "entries", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), files)

	for _, table := range []string{"segments", "roots"} {
		equal(f.t, table, f.rows(table), kept[table])
	}
}

// scanUnreachable also marks an entry with a reason as unreachable. The reason is cleared.
func scanUnreachable(f *fixture) {
	stage := f.newStage()
	files := f.linkedFiles(&stage, "a", "b", "c")
	failed := file("d", 1)
	failed.State, failed.Reason = sqlrepo.Failed, "reason"
	files = append(files, f.add(stage, failed)...)
	kept := map[string][]map[string]any{"segments": f.rows("segments"), "roots": f.rows("roots")}
	batch := sqlrepo.ScanBatch{Unreachable: []int64{files[0].ID, files[1].ID, files[3].ID}}
	equal(f.t, "length", batch.Len(), 3)
	f.ok(f.SaveScan(f.ctx, stage, batch))

	want := slices.Clone(files)
	for _, i := range []int{0, 1, 3} {
		want[i].State, want[i].Reason = sqlrepo.Unreachable, ""
	}
	equal(f.t, "entries", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), want)
	equal(f.t, "left out", len(collect(f.t, f.LeftOut(f.ctx, stage.Upload.ID))), 0)
	equal(f.t, "unplanned", len(unplannedPaths(f, stage)), 0)
	linkables := collect(f.t, f.Linkables(f.ctx, stage.Upload.ID))
	if len(linkables) != 1 || linkables[0].ID != files[2].ID {
		f.t.Errorf("linkable: %+v", linkables)
	}

	// Entries that can be reached again are as they were.
	batch = sqlrepo.ScanBatch{Restored: []int64{files[0].ID, files[3].ID}}
	equal(f.t, "length", batch.Len(), 2)
	f.ok(f.SaveScan(f.ctx, stage, batch))
	want[0].State, want[3].State = sqlrepo.Ready, sqlrepo.Ready
	equal(f.t, "restored", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), want)
	equal(f.t, "unplanned", unplannedPaths(f, stage), []string{"d"})
	for table, rows := range kept {
		equal(f.t, table, f.rows(table), rows)
	}
}

// scanMarksOnly marks more entries than one statement takes.
func scanMarksOnly(f *fixture) {
	stage := f.newStage()
	added, others := f.add(stage, many(4500)...), f.add(f.newStage(), many(10)...)
	unreachable := sqlrepo.EntryFilter{States: []sqlrepo.EntryState{sqlrepo.Unreachable}}
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Unreachable: keys(added[:4400])}))
	equal(f.t, "unreachable", keys(collect(f.t, f.Entries(f.ctx, stage.Upload.ID, unreachable))), keys(added[:4400]))

	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{
		Restored: keys(added[:2200]), Unreachable: keys(added[4400:]), Vanished: keys(added[2200:4400]),
	}))
	equal(f.t, "left", keys(collect(f.t, f.Entries(f.ctx, stage.Upload.ID, unreachable))), keys(added[4400:]))

	ready := sqlrepo.EntryFilter{States: []sqlrepo.EntryState{sqlrepo.Ready}}
	equal(f.t, "ready", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, ready)), added[:2200])
	equal(f.t, "others", collect(f.t, f.Entries(f.ctx, others[0].Upload, sqlrepo.EntryFilter{})), others)
}

func scanIsAtomic(f *fixture) {
	stage := f.newStage()
	old := f.add(stage, file("a", 1), file("b", 1))
	before := f.dump()
	err := f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{
		Added: []sqlrepo.Entry{file("c", 1), file("b", 1)}, Vanished: []int64{old[0].ID}, Unreachable: []int64{old[1].ID},
	})
	f.fails(err, sqlrepo.ErrExists)
	equal(f.t, "dump", f.dump(), before)
}

func scanManyChanges(f *fixture) {
	stage := f.newStage()
	added := f.add(stage, many(4500)...)
	for i := range added {
		added[i].Size++
	}
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Changed: added[:2200], Vanished: keys(added[2200:])}))
	equal(f.t, "left", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), added[:2200])
}

func scanReasons(f *fixture) {
	stage := f.newStage()
	bad := file("a", 1)
	bad.State, bad.Reason = sqlrepo.Failed, "nul \x00 and \xff\xfe ?"
	f.add(stage, bad)
	got := collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "reason", got[0].Reason, "nul \uFFFD and \uFFFD ?")
}
