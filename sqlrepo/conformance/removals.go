package conformance

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

func removals() []test {
	return []test{
		{"takes an upload from everybody", removedIsGone},
		{"is refused while somebody is at work", removeAtWork},
		{"is refused while the source is scanned", removeWhileScanned},
		{"takes leases away that have ended", removeAbandoned},
		{"removes what was decided unless that is out of date", removeDecided},
		{"is done by one at a time", removalClaim},
		{"spares what later uploads share", removalRuns},
		{"spares what only uploads far behind share", removalRunsFar},
		{"deletes entries a few at a time", removalEntries},
		{"spares what was taken over since it was looked at", removalShared},
		{"keeps scans from taking over what was removed", removalTaken},
		{"condemns nothing after who needs what has changed", condemnNeeds},
		{"is no way to delete from other uploads", removalOfLive},
		{"hides the blocks of condemned shards", condemnHides},
		{"condemns nothing after another shard was sealed", condemnStale},
		{"condemns nothing after an upload was completed", condemnCompleted},
		{"condemns nothing after an upload was begun", condemnBegun},
		{"condemns nothing while an upload is linked", condemnLinking},
		{"takes a linker's lease away that has ended", condemnAbandonedLink},
		{"condemns no shard with segments that are left", condemnShared},
		{"spares files that other shards are", removalFiles},
		{"finds files that no shard names", removalNamed},
		{"waits for what is being sealed", removalWaits},
		{"deletes nodes a few at a time", removalNodes},
		{"finishes when nothing is left", removalFinish},
		{"leaves known that there were uploads", hadUploads},
	}
}

// onRemoval adds calls of every method that changes something under the lease on a removal.
func (f *fixture) onRemoval(stage sqlrepo.Stage, entry sqlrepo.Entry, with sealing,
	calls map[string]func() error) {
	calls["RemoveEntries"] = func() error {
		_, _, _, err := f.RemoveEntries(f.ctx, stage, removal.EntryRun{Unshared: []int64{entry.ID}, Last: entry.Path})
		return err
	}
	calls["Condemn"] = func() error {
		view := must(f.ViewSpace(f.ctx, with.Space))(f.t)
		return f.Condemn(f.ctx, stage, &view, []int64{1})
	}

	calls["RemoveNodes"] = func() error {
		_, _, err := f.RemoveNodes(f.ctx, stage, 1)
		return err
	}
	calls["DropNeedlessIndexes"] = func() error { return f.DropNeedlessIndexes(f.ctx, stage) }

	calls["FinishRemoval"] = func() error {
		_, err := f.FinishRemoval(f.ctx, stage)
		return err
	}
}

// removed marks a claimed upload as Removed and claims its removal.
func (f *fixture) removed(stage sqlrepo.Stage) sqlrepo.Stage {
	f.t.Helper()
	f.expire()
	f.ok(f.RemoveUpload(f.ctx, stage.Upload.ID))
	return must(f.ClaimRemoval(f.ctx, claim("remover"), stage.Upload.ID))(f.t)
}

func (f *fixture) view(space sqlrepo.Space) *removal.SpaceView {
	f.t.Helper()
	view := must(f.ViewSpace(f.ctx, space.ID))(f.t)
	return &view
}

func removedIsGone(f *fixture) {
	space := f.space()
	source := f.source(space)
	stage := f.begin(source)
	f.linkedFiles(&stage, "a")
	f.complete(stage)
	f.ok(f.RemoveUpload(f.ctx, stage.Upload.ID))
	f.ok(f.RemoveUpload(f.ctx, stage.Upload.ID))
	f.fails(f.RemoveUpload(f.ctx, 100), sqlrepo.ErrNotFound)

	upload := f.upload(stage)
	equal(f.t, "state", upload.State, sqlrepo.Removed)
	equal(f.t, "ended", upload.Ended(), true)
	equal(f.t, "previous", must(f.PreviousUpload(f.ctx, upload))(f.t), 0)
	equal(f.t, "open", len(must(f.OpenUploads(f.ctx, sqlrepo.OpenFilter{}))(f.t)), 0)
	equal(f.t, "remaining", len(f.view(space).Uploads), 0)
	equal(f.t, "removed", must(f.RemovedUploads(f.ctx, space.ID))(f.t)[0].ID, upload.ID)
	equal(f.t, "removed elsewhere", len(must(f.RemovedUploads(f.ctx, space.ID+1))(f.t)), 0)

	_, err := f.UnfinishedUpload(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)
	_, err = f.ClaimStage(f.ctx, claim("worker"), upload.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)

	opened := f.open(source)
	if opened.Resumed || opened.Upload.ID == upload.ID {
		f.t.Errorf("opened %+v", opened)
	}
}

func removeAtWork(f *fixture) {
	stage := f.newStage()
	f.refuseRemoval(stage)
	shard := f.claimOnly(stage, 0)
	f.refuseRemoval(stage)
	f.ok(f.Release(f.ctx, shard))
	f.ok(f.RemoveUpload(f.ctx, stage.Upload.ID))
	f.noShard(stage)
}

// refuseRemoval checks that a removal is refused and that the error names the worker.
func (f *fixture) refuseRemoval(stage sqlrepo.Stage) {
	f.t.Helper()
	before := f.everything()
	err := f.RemoveUpload(f.ctx, stage.Upload.ID)
	f.fails(err, sqlrepo.ErrAtWork)
	if err != nil && !strings.Contains(err.Error(), "worker") {
		f.t.Errorf("who is it? %v", err)
	}
	equal(f.t, "everything", f.everything(), before)
}

func removeWhileScanned(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	f.complete(first)
	second := f.begin(source)
	f.refuseRemoval(first)
	planning := must(f.Advance(f.ctx, second, sqlrepo.Planning))(f.t)
	f.ok(f.RemoveUpload(f.ctx, first.Upload.ID))
	f.ok(f.Release(f.ctx, planning))
}

func removeAbandoned(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	f.complete(first)
	second := f.begin(source)
	f.expire()
	f.ok(f.RemoveUpload(f.ctx, first.Upload.ID))
	f.fails(f.SaveScan(f.ctx, second, sqlrepo.ScanBatch{Added: []sqlrepo.Entry{file("a", 1)}}), sqlrepo.ErrLeaseLost)
	f.ok(f.RemoveUpload(f.ctx, second.Upload.ID))

	third := f.begin(source)
	shard := f.claimOnly(third, 0)
	f.expire()
	f.ok(f.RemoveUpload(f.ctx, third.Upload.ID))
	_, err := f.seal(packed(shard))
	f.fails(err, sqlrepo.ErrLeaseLost)
}

func removalClaim(f *fixture) {
	stage := f.newStage()
	_, err := f.ClaimRemoval(f.ctx, claim("remover"), stage.Upload.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)

	mine := f.removed(stage)
	_, err = f.ClaimRemoval(f.ctx, claim("other"), stage.Upload.ID)
	f.fails(err, sqlrepo.ErrNothingToClaim)
	f.fails(f.RemoveUpload(f.ctx, stage.Upload.ID), sqlrepo.ErrAtWork)

	f.expire()
	other := must(f.ClaimRemoval(f.ctx, claim("other"), stage.Upload.ID))(f.t)
	_, err = f.FinishRemoval(f.ctx, mine)
	f.fails(err, sqlrepo.ErrLeaseLost)
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, other))(f.t), true)
}

func (f *fixture) runs(upload int64, sharers ...int64) (unshared, shared []int64) {
	f.t.Helper()
	for run, err := range f.EntryRuns(f.ctx, upload, sharers) {
		f.ok(err)
		unshared, shared = append(unshared, run.Unshared...), append(shared, run.Shared...)
	}
	return unshared, shared
}

func removalRuns(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.add(first, many(1201)...)
	f.complete(first)

	second := f.begin(source)
	var reused []sqlrepo.Entry
	for i := range old {
		entry := file(old[i].Path.String(), old[i].Size)
		if i%3 == 0 {
			entry.Origin = old[i].ID
		}
		reused = append(reused, entry)
	}
	f.add(second, reused...)

	unshared, shared := f.runs(first.Upload.ID, second.Upload.ID)
	equal(f.t, "unshared", len(unshared), 800)
	equal(f.t, "shared", len(shared), 401)
	for _, id := range shared {
		if (id-old[0].ID)%3 != 0 {
			f.t.Errorf("entry %d is shared", id)
		}
	}

	unshared, shared = f.runs(first.Upload.ID)
	equal(f.t, "unshared by nobody", len(unshared), 1201)
	equal(f.t, "shared with nobody", len(shared), 0)
}

// removalRunsFar has entries that only uploads far behind share, one each.
func removalRunsFar(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.add(first, file("a", 1), file("b", 1), file("c", 1), file("d", 1), file("e", 1), file("unshared", 1))
	last := len(old) - 1
	f.complete(first)

	var sharers []int64
	for _, at := range []int{3, 1, 4, 0, 2} {
		stage := f.begin(source)
		sharers = append(sharers, stage.Upload.ID)
		f.add(stage, taken(old[at])...)
		f.add(stage, file("unshared", 1))
		f.complete(stage)
	}

	unshared, shared := f.runs(first.Upload.ID, sharers...)
	equal(f.t, "unshared", unshared, keys(old[last:]))
	equal(f.t, "shared", shared, keys(old[:last]))

	left, gone, _, err := f.RemoveEntries(f.ctx, f.removed(first), runOf(old...))
	f.ok(err)
	equal(f.t, "gone", gone, 1)
	equal(f.t, "left", left.Shared, keys(old[:last]))
}

// runOf returns a run of entries that nobody was seen to share.
func runOf(entries ...sqlrepo.Entry) removal.EntryRun {
	return removal.EntryRun{Unshared: keys(entries), First: entries[0].Path, Last: entries[len(entries)-1].Path}
}

// removalShared begins an upload, and removes another, after a run of entries was read. What the new upload took
// over from the removed one stays.
func removalShared(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.add(first, file("a", 1), file("b", 1), file("c", 1))
	f.complete(first)
	second := f.begin(source)
	f.add(second, taken(old[:2]...)...)
	f.complete(second)
	mine := f.removed(first)
	run := collect(f.t, f.EntryRuns(f.ctx, first.Upload.ID, nil))[0]

	third := f.begin(source)
	f.ok(f.SaveScan(f.ctx, third, sqlrepo.ScanBatch{Added: taken(old[:1]...), Previous: second.Upload.ID}))
	f.complete(third)
	f.ok(f.RemoveUpload(f.ctx, second.Upload.ID))

	left, gone, _, err := f.RemoveEntries(f.ctx, mine, run)
	f.ok(err)
	equal(f.t, "gone", gone, 2)
	equal(f.t, "left", left.Unshared, []int64{})
	equal(f.t, "shared", left.Shared, keys(old[:1]))
}

// taken returns entries that have the content of others.
func taken(from ...sqlrepo.Entry) (entries []sqlrepo.Entry) {
	for _, earlier := range from {
		entry := file(earlier.Path.String(), earlier.Size)
		entry.Origin = earlier.ID
		entries = append(entries, entry)
	}
	return entries
}

// removalTaken lets a scan take content over from an upload that was removed meanwhile.
func removalTaken(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.add(first, file("a", 1))
	f.complete(first)
	second := f.begin(source)
	rescanning := must(f.reach(second, sqlrepo.Rescanning))(f.t)
	f.ok(f.RemoveUpload(f.ctx, first.Upload.ID))
	batch := sqlrepo.ScanBatch{Added: taken(old...), Previous: first.Upload.ID}
	f.fails(f.SaveScan(f.ctx, rescanning, batch), sqlrepo.ErrSpaceChanged)
	f.ok(f.SaveScan(f.ctx, rescanning, sqlrepo.ScanBatch{Added: []sqlrepo.Entry{file("b", 1)}, Previous: first.Upload.ID}))
}

// mostRows is the most rows that a transaction may delete.
const mostRows = 2001

func removalEntries(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, many(1500)...)

	var plan []sqlrepo.PlannedShard
	for ordinal := range 3 {
		var segments []sqlrepo.Segment
		for _, file := range files {
			segments = append(segments, sqlrepo.Segment{Entry: file.ID, Offset: int64(ordinal), Length: 1})
		}
		plan = append(plan, planned(int64(ordinal), segments...))
	}
	f.plan(stage, plan...)

	mine, left := f.removed(stage), runOf(files[:1400]...)
	total := int64(0)
	for len(left.Unshared) > 0 {
		rest, gone, rows, err := f.RemoveEntries(f.ctx, mine, left)
		f.ok(err)
		if total += rows; rows > mostRows || gone == 0 && rows == 0 || len(left.Unshared)-gone != len(rest.Unshared) {
			f.t.Fatalf("%d entries and %d rows at once, %d entries are left of %d", gone, rows, len(rest.Unshared),
				len(left.Unshared))
		}
		left = rest
	}

	equal(f.t, "rows", total, 1400*4)
	equal(f.t, "entries", len(f.rows("entries")), 100)
	equal(f.t, "segments", len(f.rows("segments")), 300)
}

// removalOfLive uses a stage that is no removal.
func removalOfLive(f *fixture) {
	stage := f.newStage()
	entries := f.add(stage, file("a", 1))
	calls := map[string]func() error{}
	f.onRemoval(stage, entries[0], f.sealing(stage.Upload.ID), calls)
	f.refused(calls)
}

// stillNamed returns which files the store of most tests is to have.
func (f *fixture) stillNamed(digests ...sqlrepo.Digest) map[sqlrepo.Digest]bool {
	f.t.Helper()
	named := map[sqlrepo.Digest]bool{}
	for digest, need := range must(f.StillNamed(f.ctx, "store", digests))(f.t) {
		named[digest] = need.Here
	}
	return named
}

// removalFiles has shards in two spaces that are the same file.
func removalFiles(f *fixture) {
	space, other := f.space(), f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	theirs, twin := f.condemnable(other, digest(1, 1))
	file := sqlrepo.Digest(f.shards(mine)[0].Digest)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
	equal(f.t, "named when one may go", f.stillNamed(file), map[sqlrepo.Digest]bool{file: true})
	f.ok(f.Condemn(f.ctx, theirs, f.view(other), []int64{twin}))
	equal(f.t, "named when both may go", f.stillNamed(file), map[sqlrepo.Digest]bool{})
}

func removalNamed(f *fixture) {
	space := f.space()
	f.hold(space, digest(1, 1))
	all := []sqlrepo.Digest{{}, sqlrepo.Digest(packed(sqlrepo.Shard{}).Shard.Digest), {}}
	want := map[sqlrepo.Digest]bool{all[1]: true}
	equal(f.t, "named", len(must(f.Named(f.ctx, "store", all))(f.t)), len(want))
	equal(f.t, "still named", f.stillNamed(all...), want)
}

// errNoSeal keeps a seal from being recorded.
var errNoSeal = errors.New("no")

// removalWaits asks which files are named while a shard of a new space is being sealed. It gets no answer before
// the seal has ended.
func removalWaits(f *fixture) {
	f.space()
	for _, sealErr := range []error{nil, errNoSeal} {
		space := f.space()
		stage := f.begin(f.source(space))
		shard := packed(f.claimOnly(stage, 0))
		file := sqlrepo.Digest(shard.Shard.Digest)

		var asking sync.WaitGroup
		var named bool
		var ended atomic.Bool
		seal := f.sealing(stage.Upload.ID)
		seal.publish = func(context.Context) error {
			began := make(chan struct{})
			asking.Go(func() {
				close(began)
				found, err := f.StillNamed(f.ctx, "store", []sqlrepo.Digest{file})
				named = found[file].Here
				if err != nil || !ended.Load() {
					f.t.Errorf("answered before the shard was sealed: %v, %v", found, err)
				}
			})
			<-began
			time.Sleep(50 * time.Millisecond) // a call that does not wait has answered by then
			ended.Store(true)
			return sealErr
		}

		_, err := f.sealShard(shard, seal)
		f.fails(err, sealErr)
		asking.Wait()
		equal(f.t, "named", named, sealErr == nil)

		f.clear()
	}
}

func removalNodes(f *fixture) {
	space := f.space()
	blocks := make([]sqlrepo.Digest, 5000)
	for i := range blocks {
		blocks[i] = digest(byte(i), byte(i>>8))
	}
	mine, shard := f.condemnable(space, blocks...)

	_, _, err := f.RemoveNodes(f.ctx, mine, shard)
	f.fails(err, sqlrepo.ErrNotFound) // it is not condemned
	equal(f.t, "nodes", must(f.CountNodes(f.ctx))(f.t), 5000)

	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))

	// Others may store the same blocks while these are deleted.
	f.hold(space, blocks...)

	total, left := int64(0), int64(5000)
	for gone := false; !gone; {
		var rows int64
		gone, rows, err = f.RemoveNodes(f.ctx, mine, shard)
		f.ok(err)
		if total += rows; rows > mostRows {
			f.t.Errorf("%d rows at once", rows)
		}
		if left -= rows; !gone {
			equal(f.t, "nodes that are left", f.shards(mine)[0].Nodes, left)
		}
	}

	equal(f.t, "rows", total, 5001)
	equal(f.t, "nodes of others", len(f.rows("nodes")), 5000)
	equal(f.t, "shards", len(f.shards(mine)), 0)
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, mine))(f.t), true)
}

func hadUploads(f *fixture) {
	equal(f.t, "had uploads", must(f.HadUploads(f.ctx))(f.t), false)
	mine := f.removed(f.newStage())
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, mine))(f.t), true)
	equal(f.t, "had uploads", must(f.HadUploads(f.ctx))(f.t), true)
}

func removalFinish(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 1), file("b", 1))

	mine := f.removed(stage)
	_, _, _, err := f.RemoveEntries(f.ctx, mine, runOf(files[:1]...))
	f.ok(err)
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, mine))(f.t), false)

	mine = must(f.ClaimRemoval(f.ctx, claim("other"), stage.Upload.ID))(f.t)
	_, _, _, err = f.RemoveEntries(f.ctx, mine, runOf(files[1:]...))
	f.ok(err)
	equal(f.t, "gone with the last entry", must(f.FinishRemoval(f.ctx, mine))(f.t), true)
	_, err = f.Upload(f.ctx, stage.Upload.ID)
	f.fails(err, sqlrepo.ErrNotFound)
}
