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
	for _, replica := range must(f.Replicas(f.ctx))(f.t) {
		want := sqlrepo.Replica{}
		if replica.Space == 0 {
			want = must(f.LackingIn(f.ctx, replica.Origin, replica.Store))(f.t)
		} else {
			want = must(f.Lacking(f.ctx, sqlrepo.SpaceReplica{Space: replica.Space, Store: replica.Store}))(f.t)
		}
		want.SyncedAt = replica.SyncedAt
		equal(f.t, "counts", replica, want)
	}
	flaws := []audit.Flaw{}
	for flaw := range f.flaws() {
		if flaw.Code == audit.FlawReplicaCounts {
			flaws = append(flaws, flaw)
		}
	}
	equal(f.t, "flaws", len(flaws), 0)
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
