package conformance

import (
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

func lackCounts() []test {
	return []test{
		{"follow every event", countEachEvent},
		{"are of files, however many uploads have them", countFilesOnce},
		{"begin with what there is", countFromBegin},
		{"follow removals", countRemovals},
		{"follow an upload that gets a store", countNewStore},
		{"are right after seals at once", countAtOnce},
		{"are counted again by a repair", countAgain},
	}
}

// counted checks that the counts of all replicas are what the rows of all files give.
func (f *fixture) counted() {
	f.t.Helper()
	replicas := must(f.Replicas(f.ctx))(f.t)
	for _, replica := range replicas {
		want := sqlrepo.Replica{}
		if replica.Space == 0 {
			want = must(f.LackingIn(f.ctx, replica.Origin, replica.Store))(f.t)
		} else {
			want = must(f.Lacking(f.ctx, sqlrepo.SpaceReplica{Space: replica.Space, Store: replica.Store}))(f.t)
		}
		want.SyncedAt = replica.SyncedAt
		equal(f.t, "counts", replica, want)
	}
	if len(replicas) == 0 {
		return // and nothing to compare; the rows may be random, with sums that no engine has room for
	}

	for flaw, err := range f.CheckRows(f.ctx, nil) {
		f.ok(err)
		if flaw.Code == audit.FlawReplicaCounts {
			f.t.Error(flaw.Detail)
		}
	}
}

// lacks checks what all replicas lack together, as they have counted it, and that it is right.
func (f *fixture) lacks(files, due int64) {
	f.t.Helper()
	f.counted()
	var got [2]int64
	for _, replica := range must(f.Replicas(f.ctx))(f.t) {
		got[0] += replica.Files
		got[1] += replica.DueFiles
	}
	equal(f.t, "files and due files", got, [2]int64{files, due})
}

// toIndex begins the indexing of an upload that filled has packed.
func (f *fixture) toIndex(stage sqlrepo.Stage) sqlrepo.Stage {
	f.t.Helper()
	stage = must(f.reach(f.stage(stage.Upload), sqlrepo.Linking))(f.t)
	f.dag(stage, 100)
	return must(f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{}))(f.t)
}

// countEachEvent has a replica of a store and one of a space, which both are to have the files of one upload.
func countEachEvent(f *fixture) {
	f.store("second")
	packed := f.filled("first", 1, 2)
	space := sqlrepo.Space{ID: f.spaceOf(packed.Upload)}
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	to := sqlrepo.SpaceReplica{Space: space.ID, Store: f.store("third")}
	f.ok(f.AddSpaceReplica(f.ctx, to))
	f.lacks(4, 0)

	// The DAG shard, and then two indexes, of which the second comes with the end of the upload.
	stage := f.toIndex(packed)
	f.lacks(6, 0)
	shards := f.uncovered(space, stage.Upload.ID)
	f.ok(f.SaveIndexes(f.ctx, stage, []sqlrepo.NewIndex{newIndex(101, shards[0])}))
	f.lacks(8, 0)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{newIndex(102, shards[1:]...)}))(f.t)
	f.lacks(10, 10)

	// Copies come, some of them twice, and go.
	f.copied("second", 1, 2)
	f.copied("second", 2)
	f.lacks(8, 8)
	f.ok(f.Sent(f.ctx, f.claimed(to)))
	f.lacks(7, 7)
	f.ok(f.ForgetCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1), digestOf(9)}))
	f.lacks(8, 8)

	// Other indexes take the place of the first one.
	f.ok(f.DropIndexes(f.ctx, []int64{f.indexesOf(sqlrepo.IndexFilter{})[0].ID}))
	f.lacks(6, 6)
	f.ok(f.CoverShards(f.ctx, stage.Upload.ID, []sqlrepo.NewIndex{newIndex(103, shards[0])}))
	f.lacks(8, 8)

	f.ok(f.LoseStore(f.ctx, "third", "file:///again/"))
	f.lacks(9, 9)
	f.ok(f.EndReplica(f.ctx, "second", "first"))
	f.ok(f.RemoveSpaceReplica(f.ctx, to))
	f.lacks(0, 0)
}

// countFilesOnce has files of several uploads, and of several spaces.
func countFilesOnce(f *fixture) {
	f.store("first")
	f.store("second")
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	one, two := f.filled("first", 1, 2), f.filled("first", 2, 3)
	f.lacks(3, 0)

	for _, stage := range []sqlrepo.Stage{one, two} {
		stage = must(f.reach(f.stage(stage.Upload), sqlrepo.Linking))(f.t)
		f.complete(stage)
	}
	f.lacks(3, 3)
	f.ok(f.RemoveUpload(f.ctx, one.Upload.ID))
	f.lacks(3, 2)

	stage := must(f.ClaimRemoval(f.ctx, claim("remover"), one.Upload.ID))(f.t)
	view := f.view(sqlrepo.Space{ID: f.spaceOf(one.Upload)})
	for _, shard := range f.shards(stage) {
		f.ok(f.Condemn(f.ctx, stage, view, []int64{shard.ID}))
	}
	f.lacks(2, 2)
	f.copied("second", 2)
	f.lacks(1, 1)
}

// countFromBegin sets replicas when there are files, and some copies, already.
func countFromBegin(f *fixture) {
	f.store("second")
	stage := f.filled("first", 1, 2, 3)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.copied("second", 1)
	f.lacks(2, 0)
	f.ok(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: f.spaceOf(stage.Upload), Store: "second"}))
	f.lacks(4, 0)

	// What is there already is not counted twice.
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.lacks(4, 0)
}

// countRemovals also gives up an index that covers shards which are condemned.
func countRemovals(f *fixture) {
	stage := f.filled("first", 1, 2)
	space := sqlrepo.Space{ID: f.spaceOf(stage.Upload)}
	f.ok(f.SetReplica(f.ctx, f.store("second"), "first"))
	stage = f.toIndex(stage)
	index := newIndex(101, f.uncovered(space, stage.Upload.ID)...)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{index}))(f.t)
	f.lacks(4, 4)

	stage = f.removed(stage)
	f.lacks(4, 0)
	shards := f.shards(stage)
	f.ok(f.Condemn(f.ctx, stage, f.view(space), []int64{shards[0].ID}))
	f.lacks(2, 0)
	for {
		gone, _, err := f.RemoveNodes(f.ctx, stage, shards[0].ID)
		f.ok(err)
		if gone {
			break
		}
	}
	f.ok(f.DropNeedlessIndexes(f.ctx, stage))
	f.lacks(2, 0)
}

// countNewStore opens an upload from before stores had identities in a store.
func countNewStore(f *fixture) {
	f.ok(f.SetReplica(f.ctx, f.store("second"), f.store("first")))
	stage := f.filled("", 1, 2)
	f.lacks(0, 0)
	f.expire()
	f.in(must(f.Source(f.ctx, stage.Upload.Source))(f.t), "first")
	f.lacks(2, 0)
}

// countAtOnce seals the same file in several spaces while copies of it come and go.
func countAtOnce(f *fixture) {
	f.ok(f.SetReplica(f.ctx, f.store("second"), f.store("first")))
	var shards []sqlrepo.PackedShard
	for range 6 {
		stage := f.stage(f.in(f.source(f.space()), "first"))
		f.toPack(stage, planned(0))
		shards = append(shards, packed(f.shard(stage)))
	}

	var workers sync.WaitGroup
	for _, shard := range shards {
		workers.Go(func() {
			if _, err := f.seal(shard); err != nil {
				f.t.Error(err)
			}
		})
		workers.Go(func() {
			digest := []sqlrepo.Digest{digestOf(7)}
			if _, err := f.AddCopies(f.ctx, "second", digest); err != nil {
				f.t.Error(err)
			}
			if err := f.ForgetCopies(f.ctx, "second", digest); err != nil {
				f.t.Error(err)
			}
		})
	}
	workers.Wait()
	f.lacks(1, 0)
}

func countAgain(f *fixture) {
	f.ok(f.SetReplica(f.ctx, f.store("second"), f.store("first")))
	f.filled("first", 1, 2)
	f.execute("UPDATE replicas SET missing_files = 7, due_bytes = 3")
	f.ok(f.MendReplicaCounts(f.ctx))
	f.lacks(2, 0)
}
