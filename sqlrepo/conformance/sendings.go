package conformance

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func sendings() []test {
	return []test{
		{"have known spaces and stores", unknownSpaceReplica},
		{"are of the files that a replica lacks", sendFiles},
		{"are of the space alone", sendSpace},
		{"are claimed once", claimSendingOnce},
		{"are recorded by those who have the lease", sentLate},
		{"are not recorded when nobody needs the file", sentUnneeded},
		{"that came to nothing are forgotten", obsoleteSending},
		{"of what nobody needs are forgotten by the collector", pruneSendings},
		{"are resumed after a failure", resumeSendings},
		{"end with the replica", removeSpaceReplica},
		{"keep their store", storeOfSendings},
		{"count as work", sendingAtWork},
		{"are planned by many at once", planAtOnce},
	}
}

// replicated returns a replica of a new space, whose upload has shards with the given digests.
func (f *fixture) replicated(replica string, digests ...byte) sqlrepo.SpaceReplica {
	f.t.Helper()
	upload := f.filled("origin", digests...).Upload
	to := sqlrepo.SpaceReplica{Space: f.spaceOf(upload), Store: f.store(replica)}
	f.ok(f.AddSpaceReplica(f.ctx, to))
	return to
}

func (f *fixture) spaceOf(upload sqlrepo.Upload) int64 {
	f.t.Helper()
	return must(f.Source(f.ctx, upload.Source))(f.t).Space
}

// claimed claims a sending.
func (f *fixture) claimed(to sqlrepo.SpaceReplica) sqlrepo.Sending {
	f.t.Helper()
	sending, more, err := f.ClaimSending(f.ctx, claim("worker"), to, nil)
	f.ok(err)
	equal(f.t, "more", more, true)
	return sending
}

// planned plans sendings without a claim.
func (f *fixture) planned(to sqlrepo.SpaceReplica) { f.ok(f.Release(f.ctx, f.claimed(to))) }

// sending returns the lease of the only sending to a replica.
func (f *fixture) sending(to sqlrepo.SpaceReplica) sqlrepo.Lease {
	f.t.Helper()
	all := must(f.Sendings(f.ctx, []int64{to.Space}))(f.t)
	if len(all) == 0 { // nobody has it, and it has not failed
		return sqlrepo.Lease{}
	}
	equal(f.t, "sendings", len(all), 1)
	return all[0].Lease
}

// nothingToSend checks that nothing can be claimed, and returns whether more is to come.
func (f *fixture) nothingToSend(to sqlrepo.SpaceReplica) (more bool) {
	f.t.Helper()
	_, more, err := f.ClaimSending(f.ctx, claim("another"), to, nil)
	f.fails(err, sqlrepo.ErrNothingToClaim)
	return more
}

func (f *fixture) lack(to sqlrepo.SpaceReplica) int64 {
	f.t.Helper()
	return must(f.Lacking(f.ctx, to))(f.t).Files
}

func unknownSpaceReplica(f *fixture) {
	space := f.space()
	f.fails(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: space.ID, Store: "unknown"}),
		sqlrepo.ErrMissingReference)
	f.fails(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: space.ID + 1, Store: f.store("known")}),
		sqlrepo.ErrMissingReference)
	equal(f.t, "replicas", len(must(f.SpaceReplicas(f.ctx, nil))(f.t)), 0)
}

func sendFiles(f *fixture) {
	to := f.replicated("replica", 1, 2)
	equal(f.t, "lacks", must(f.Lacking(f.ctx, to))(f.t),
		sqlrepo.Replica{Store: "replica", Space: to.Space, Files: 2, Bytes: 1800})
	equal(f.t, "in the list", must(f.Replicas(f.ctx))(f.t),
		[]sqlrepo.Replica{{Store: "replica", Space: to.Space, Files: 2, Bytes: 1800}})

	sent := map[sqlrepo.Digest]bool{}
	for range 2 {
		sending := f.claimed(to)
		equal(f.t, "origin", sending.Origin, "origin")
		equal(f.t, "kind", sending.Kind, sqlrepo.ShardBlob)
		equal(f.t, "size", sending.Size, 900)
		sent[sqlrepo.Digest(sending.Digest)] = true
		f.ok(f.Sent(f.ctx, sending))
	}
	equal(f.t, "sent", sent, map[sqlrepo.Digest]bool{digestOf(1): true, digestOf(2): true})
	equal(f.t, "lacks", f.lack(to), 0)
	equal(f.t, "more", f.nothingToSend(to), false)
	equal(f.t, "left", len(must(f.Sendings(f.ctx, []int64{to.Space}))(f.t)), 0)
}

// sendSpace: files of other spaces are not sent, and neither are those that are in the replica itself or in no store.
func sendSpace(f *fixture) {
	to := f.replicated("replica", 1)
	f.filled("origin", 2)
	equal(f.t, "lacks", f.lack(to), 1)

	f.ok(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: to.Space, Store: "origin"}))
	equal(f.t, "lacks itself", f.nothingToSend(sqlrepo.SpaceReplica{Space: to.Space, Store: "origin"}), false)

	nowhere := f.spaceOf(f.filled(sqlrepo.NoneStore, 3).Upload)
	none := sqlrepo.SpaceReplica{Space: nowhere, Store: "replica"}
	f.ok(f.AddSpaceReplica(f.ctx, none))
	equal(f.t, "lacks what is not kept", f.lack(none), 0)
	equal(f.t, "more", f.nothingToSend(none), false)

	equal(f.t, "replicas of one", must(f.SpaceReplicas(f.ctx, []int64{nowhere}))(f.t), []sqlrepo.SpaceReplica{none})
	equal(f.t, "replicas of all", len(must(f.SpaceReplicas(f.ctx, nil))(f.t)), 3)
	equal(f.t, "replicas of the store", must(f.ReplicasOf(f.ctx, "origin"))(f.t), []string{"replica"})
	equal(f.t, "count", must(f.Spaces(f.ctx))(f.t)[0].Replicas, 2)
}

func claimSendingOnce(f *fixture) {
	to := f.replicated("replica", 1)
	first := f.claimed(to)
	equal(f.t, "more", f.nothingToSend(to), true)

	f.expire()
	second := f.claimed(to)
	equal(f.t, "attempts", second.Attempts, 1)
	f.fails(f.Sent(f.ctx, first), sqlrepo.ErrLeaseLost)
	f.fails(f.Renew(f.ctx, first, term, 1), sqlrepo.ErrLeaseLost)
	equal(f.t, "lacks", f.lack(to), 1)
	f.ok(f.Sent(f.ctx, second))
	equal(f.t, "lacks", f.lack(to), 0)
}

func sentLate(f *fixture) {
	to := f.replicated("replica", 1)
	sending := f.claimed(to)
	f.ok(f.Sent(f.ctx, sending))
	f.fails(f.Sent(f.ctx, sending), sqlrepo.ErrLeaseLost)
	f.fails(f.Release(f.ctx, sending), sqlrepo.ErrLeaseLost)
	f.fails(f.Sent(f.ctx, sqlrepo.Sending{ID: sending.ID, Digest: sending.Digest}), sqlrepo.ErrLeaseLost)
}

func sentUnneeded(f *fixture) {
	to := f.replicated("replica", 1)
	sending := f.claimed(to)
	f.execute("DELETE FROM shards")
	f.fails(f.Sent(f.ctx, sending), sqlrepo.ErrNotNeeded)
	for digest, err := range f.Copies(f.ctx, "replica") {
		f.t.Errorf("copy %x: %v", digest, err)
	}
	equal(f.t, "more", f.nothingToSend(to), false)
}

func obsoleteSending(f *fixture) {
	to := f.replicated("replica", 1, 2, 3)
	f.planned(to)

	// One is copied by a sync, another is no longer needed, and the third has failed.
	f.copied("replica", 1)
	f.execute("DELETE FROM shards WHERE ordinal = 1")
	for range 3 {
		f.ok(f.Fail(f.ctx, f.claimed(to), "broken", time.Minute))
	}
	equal(f.t, "more", f.nothingToSend(to), true)

	left := must(f.Sendings(f.ctx, []int64{to.Space}))(f.t)
	equal(f.t, "left", len(left), 1)
	equal(f.t, "digest", sqlrepo.Digest(left[0].Digest), digestOf(3))
	equal(f.t, "error", left[0].Error, "broken")
}

// pruneSendings has a sending in each state: nobody needs the files of two, of which one is being sent, another is in
// the replica, and the last one is needed.
func pruneSendings(f *fixture) {
	to, other := f.replicated("replica", 1, 2, 3, 4), f.replicated("replica", 5)
	f.ok(f.SetAside(f.ctx, f.claimed(other), "the file is damaged"))
	held := f.claimed(to)
	for range 3 {
		f.ok(f.SetAside(f.ctx, f.claimed(to), "the file is damaged"))
	}

	set := f.digestsOfSendings()
	equal(f.t, "set aside", len(set), 5)
	f.ok(f.PruneCopies(f.ctx))
	equal(f.t, "needed", f.digestsOfSendings(), set)

	free := slices.DeleteFunc([]byte{1, 2, 3, 4}, func(b byte) bool { return b == held.Digest[0] })
	f.copied("replica", free[0])
	f.execute(fmt.Sprintf("DELETE FROM shards WHERE ordinal IN (%d, %d) AND upload IN (SELECT MIN(id) FROM uploads)",
		free[1]-1, held.Digest[0]-1))
	f.ok(f.PruneCopies(f.ctx))
	left := []byte{free[2], held.Digest[0], 5}
	slices.Sort(left)
	equal(f.t, "left", f.digestsOfSendings(), left)

	// What was set aside for a replica that the space no longer has goes with it.
	f.ok(f.Release(f.ctx, held))
	f.execute("DELETE FROM space_replicas")
	f.ok(f.PruneCopies(f.ctx))
	equal(f.t, "left", len(f.digestsOfSendings()), 0)
}

// digestsOfSendings returns the files of all sendings that are claimed or were set aside, sorted.
func (f *fixture) digestsOfSendings() (digests []byte) {
	f.t.Helper()
	for _, sending := range must(f.Sendings(f.ctx, nil))(f.t) {
		digests = append(digests, sending.Digest[0])
	}
	slices.Sort(digests)
	return digests
}

func resumeSendings(f *fixture) {
	to := f.replicated("replica", 1, 2)
	f.ok(f.SetAside(f.ctx, f.claimed(to), "the file is damaged"))
	f.ok(f.Fail(f.ctx, f.claimed(to), "broken", time.Minute))
	equal(f.t, "more", f.nothingToSend(to), true)

	f.ok(f.ResumeSendings(f.ctx, to.Space))
	for range 2 {
		sending := f.claimed(to)
		equal(f.t, "attempts", sending.Attempts, 0)
		f.ok(f.SetAside(f.ctx, sending, "the file is damaged"))
	}
	equal(f.t, "more than what was set aside", f.nothingToSend(to), false)
	equal(f.t, "lacks", f.lack(to), 2)
}

func removeSpaceReplica(f *fixture) {
	to := f.replicated("replica", 1, 2)
	f.ok(f.Sent(f.ctx, f.claimed(to)))
	sending := f.claimed(to)
	f.ok(f.RemoveSpaceReplica(f.ctx, to))
	f.fails(f.RemoveSpaceReplica(f.ctx, to), sqlrepo.ErrNotFound)
	f.fails(f.Sent(f.ctx, sending), sqlrepo.ErrLeaseLost)
	equal(f.t, "replicas", len(must(f.Replicas(f.ctx))(f.t)), 0)

	// A space and its replicas go together.
	space := f.space()
	f.ok(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: space.ID, Store: "replica"}))
	f.ok(f.RemoveSpace(f.ctx, space.ID))
	equal(f.t, "replicas", len(must(f.SpaceReplicas(f.ctx, nil))(f.t)), 0)
}

func storeOfSendings(f *fixture) {
	to := f.replicated("replica", 1)
	f.fails(f.RemoveStore(f.ctx, "replica"), sqlrepo.ErrStoreInUse)
	f.ok(f.RemoveSpaceReplica(f.ctx, to))
	f.ok(f.RemoveStore(f.ctx, "replica"))

	// What is left to be sent keeps no store.
	f.planned(f.replicated("another", 2))
	f.execute("UPDATE uploads SET store = NULL")
	f.execute("UPDATE spaces SET store = NULL")
	f.ok(f.RemoveStore(f.ctx, "origin"))
	f.store("origin")
	f.planned(f.replicated("another", 3))
	f.execute("DELETE FROM space_replicas")
	f.ok(f.RemoveStore(f.ctx, "another"))
}

func sendingAtWork(f *fixture) {
	to := f.replicated("replica", 1)
	f.expire()
	f.ok(f.AtWork(f.ctx))
	f.claimed(to)
	f.fails(f.AtWork(f.ctx), sqlrepo.ErrAtWork)
	f.expire()
	f.ok(f.AtWork(f.ctx))
}

func planAtOnce(f *fixture) {
	digests := make([]byte, 40)
	for i := range digests {
		digests[i] = byte(i + 1)
	}
	to := f.replicated("replica", digests...)

	var mu sync.Mutex
	sent := map[sqlrepo.Digest]int{}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 100 * len(digests) {
				sending, more, err := f.ClaimSending(f.ctx, claim("worker"), to, nil)
				if err != nil && !more {
					return
				}
				if err != nil {
					continue
				}
				mu.Lock()
				sent[sqlrepo.Digest(sending.Digest)]++
				mu.Unlock()
				if err := f.Sent(f.ctx, sending); err != nil {
					f.t.Errorf("%v", err)
				}
			}
		})
	}
	workers.Wait()
	equal(f.t, "lacks", f.lack(to), 0)
	equal(f.t, "sent", len(sent), len(digests))
}
