package conformance

import (
	"fmt"
	"iter"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func replicas() []test {
	return []test{
		{"lack what is not copied", replicaLacks},
		{"lack a file of several uploads once", lackedOnce},
		{"have copies that are counted", copiesAreCounted},
		{"have everything at some time", replicaSynced},
		{"have known stores on both sides", unknownReplica},
		{"may have several origins", replicaOfSeveral},
		{"forget copies", forgetCopies},
		{"forget copies of what is gone", pruneCopies},
		{"are forgotten with their store", forgetReplica},
		{"have no copies of what is not needed", copyUnneeded},
		{"lack everything when they are lost", loseReplica},
	}
}

// lacking returns the digests of what a replica lacks.
func (f *fixture) lacking(blobs iter.Seq2[sqlrepo.Blob, error]) (digests []sqlrepo.Digest) {
	f.t.Helper()
	for blob, err := range blobs {
		f.ok(err)
		digests = append(digests, sqlrepo.Digest(blob.Digest))
	}
	return digests
}

// copied records copies that the store is to have.
func (f *fixture) copied(store string, digests ...byte) {
	f.t.Helper()
	equal(f.t, "unneeded", f.unneeded(store, digests...), nil)
}

// unneeded records copies, and returns those that the store is not to have.
func (f *fixture) unneeded(store string, digests ...byte) (unneeded []byte) {
	f.t.Helper()
	all := make([]sqlrepo.Digest, len(digests))
	for i, b := range digests {
		all[i] = digestOf(b)
	}
	for _, digest := range must(f.AddCopies(f.ctx, store, all))(f.t) {
		unneeded = append(unneeded, digest[0])
	}
	return unneeded
}

// copies returns the copies that a store has.
func (f *fixture) copies(store string) (copies []byte) {
	f.t.Helper()
	for _, digest := range collect(f.t, f.Copies(f.ctx, store)) {
		copies = append(copies, digest[0])
	}
	return copies
}

// digestOf returns a digest that consists of one byte.
func digestOf(b byte) (digest sqlrepo.Digest) {
	for i := range digest {
		digest[i] = b
	}
	return digest
}

// filled seals shards with the given digests for an upload in a store.
func (f *fixture) filled(store string, digests ...byte) sqlrepo.Stage {
	f.t.Helper()
	stage := f.stage(f.in(f.source(f.space()), store))
	var plan []sqlrepo.PlannedShard
	for i := range digests {
		plan = append(plan, planned(int64(i)))
	}
	f.toPack(stage, plan...)
	for _, b := range digests {
		shard := packed(f.shard(stage))
		digest := digestOf(b)
		shard.Shard.Digest = digest[:]
		f.sealed(shard)
	}
	return stage
}

func replicaLacks(f *fixture) {
	f.store("second")
	f.filled("first", 1, 2)
	f.filled("other", 3)
	f.filled("first", 4)
	f.ok(f.SetReplica(f.ctx, "second", "first"))

	equal(f.t, "lacking", f.lacking(f.UncopiedShards(f.ctx, "first", "second")),
		[]sqlrepo.Digest{digestOf(1), digestOf(2), digestOf(4)})
	equal(f.t, "indexes", len(f.lacking(f.UncopiedIndexes(f.ctx, "first", "second"))), 0)
	equal(f.t, "replicas", must(f.Replicas(f.ctx))(f.t),
		[]sqlrepo.Replica{{Store: "second", Origin: "first", Files: 3, Bytes: 2700}})
	equal(f.t, "lacks", must(f.LackingIn(f.ctx, "first", "second"))(f.t),
		sqlrepo.Replica{Store: "second", Origin: "first", Files: 3, Bytes: 2700})

	// Only complete uploads lack anything for good.
	replica := sqlrepo.Replica{Store: "second", Origin: "first"}
	equal(f.t, "lacks", len(collect(f.t, f.Lacks(f.ctx, replica))), 0)
	f.execute(fmt.Sprintf("UPDATE uploads SET state = %d WHERE id = (SELECT MIN(id) FROM uploads)", sqlrepo.Complete))
	f.ok(f.MendReplicaCounts(f.ctx))
	lacks := collect(f.t, f.Lacks(f.ctx, replica))
	equal(f.t, "lacks", len(lacks), 2)
	equal(f.t, "lacks", sqlrepo.Digest(lacks[1].Digest), digestOf(2))
	equal(f.t, "kind", lacks[1].Kind, sqlrepo.ShardBlob)
	equal(f.t, "due", must(f.LackingIn(f.ctx, "first", "second"))(f.t),
		sqlrepo.Replica{Store: "second", Origin: "first", Files: 3, Bytes: 2700, DueFiles: 2, DueBytes: 1800})

	// What is recorded twice is there once.
	f.copied("second", 1, 4)
	f.copied("second", 4)
	equal(f.t, "lacking", f.lacking(f.UncopiedShards(f.ctx, "first", "second")), []sqlrepo.Digest{digestOf(2)})
	equal(f.t, "another lacks all", len(f.lacking(f.UncopiedShards(f.ctx, "first", "other"))), 3)
	equal(f.t, "replicas", must(f.Replicas(f.ctx))(f.t),
		[]sqlrepo.Replica{{Store: "second", Origin: "first", Files: 1, Bytes: 900, DueFiles: 1, DueBytes: 900}})
}

// lackedOnce has a file that is of a complete upload and of another one, and one that is of two that are not complete.
func lackedOnce(f *fixture) {
	f.store("second")
	f.filled("first", 1, 2)
	f.filled("first", 2, 3)
	f.filled("first", 3, 4)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.execute(fmt.Sprintf("UPDATE uploads SET state = %d WHERE id = (SELECT MIN(id) FROM uploads)", sqlrepo.Complete))
	equal(f.t, "lacks", must(f.LackingIn(f.ctx, "first", "second"))(f.t),
		sqlrepo.Replica{Store: "second", Origin: "first", Files: 4, Bytes: 3600, DueFiles: 2, DueBytes: 1800})
}

func copiesAreCounted(f *fixture) {
	f.store("second")
	f.filled("first", 1, 2)
	f.filled("first", 2, 3)
	f.filled("other", 4)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.ok(f.SetReplica(f.ctx, "other", "first"))
	equal(f.t, "nothing is copied", len(must(f.CountCopies(f.ctx))(f.t)), 0)

	// Two shards are one file.
	f.copied("second", 1, 2)
	f.copied("other", 3)
	equal(f.t, "copies", must(f.CountCopies(f.ctx))(f.t), []sqlrepo.StoreCopies{
		{Identity: "other", Files: 1, Bytes: 900}, {Identity: "second", Files: 2, Bytes: 1800},
	})
}

func replicaSynced(f *fixture) {
	f.store("first")
	f.store("second")
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.fails(f.Synced(f.ctx, "first", "second"), sqlrepo.ErrNotFound)
	f.pass(time.Second)
	f.ok(f.Synced(f.ctx, "second", "first"))
	equal(f.t, "time", must(f.Replicas(f.ctx))(f.t)[0].SyncedAt, sqlrepo.NewTime(f.now))

	f.fails(f.EndReplica(f.ctx, "first", "second"), sqlrepo.ErrNotFound)
	f.ok(f.EndReplica(f.ctx, "second", "first"))
	f.fails(f.EndReplica(f.ctx, "second", "first"), sqlrepo.ErrNotFound)
	equal(f.t, "replicas", len(must(f.Replicas(f.ctx))(f.t)), 0)
}

func unknownReplica(f *fixture) {
	f.store("first")
	f.fails(f.SetReplica(f.ctx, "second", "first"), sqlrepo.ErrMissingReference)
	f.fails(f.SetReplica(f.ctx, "first", "second"), sqlrepo.ErrMissingReference)
	equal(f.t, "replicas", len(must(f.Replicas(f.ctx))(f.t)), 0)
}

func replicaOfSeveral(f *fixture) {
	for _, store := range []string{"a", "b", "c"} {
		f.store(store)
	}
	f.ok(f.SetReplica(f.ctx, "c", "a"))
	f.ok(f.SetReplica(f.ctx, "c", "b"))
	f.ok(f.SetReplica(f.ctx, "b", "a"))
	f.ok(f.SetReplica(f.ctx, "b", "a"))
	equal(f.t, "of a", must(f.ReplicasOf(f.ctx, "a"))(f.t), []string{"b", "c"})
	equal(f.t, "of b", must(f.ReplicasOf(f.ctx, "b"))(f.t), []string{"c"})
	equal(f.t, "all", must(f.ReplicasOf(f.ctx, ""))(f.t), []string{"b", "c"})
}

func forgetCopies(f *fixture) {
	f.store("second")
	f.filled("first", 1)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.copied("second", 1)
	f.ok(f.ForgetCopies(f.ctx, "first", []sqlrepo.Digest{digestOf(1)}))
	f.ok(f.ForgetCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(2)}))
	equal(f.t, "lacking", len(f.lacking(f.UncopiedShards(f.ctx, "first", "second"))), 0)

	equal(f.t, "copies", f.copies("second"), []byte{1})
	equal(f.t, "has it", must(f.HasCopy(f.ctx, "second", digestOf(1)))(f.t), true)
	equal(f.t, "has another", must(f.HasCopy(f.ctx, "second", digestOf(2)))(f.t), false)
	equal(f.t, "another has it", must(f.HasCopy(f.ctx, "first", digestOf(1)))(f.t), false)
	f.ok(f.ForgetCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1)}))
	equal(f.t, "lacking", len(f.lacking(f.UncopiedShards(f.ctx, "first", "second"))), 1)
}

func pruneCopies(f *fixture) {
	f.store("second")
	f.filled("first", 1, 2, 3)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.copied("second", 1, 2, 3)
	f.execute("DELETE FROM shards WHERE ordinal > 0")
	f.filled("other", 3) // a row names it, in a store that has no replica

	// Where no upload was ever stored, nothing else tells which files are this repository's.
	f.ok(f.PruneCopies(f.ctx))
	equal(f.t, "copies", f.copies("second"), []byte{1, 2, 3})
	f.execute("UPDATE stores SET seen_at = created_at")
	f.ok(f.PruneCopies(f.ctx))
	equal(f.t, "copies", f.copies("second"), []byte{1})

	// A shard of the digest that was forgotten counts as one that is not copied.
	f.filled("first", 2, 3)
	equal(f.t, "lacking", f.lacking(f.UncopiedShards(f.ctx, "first", "second")),
		[]sqlrepo.Digest{digestOf(2), digestOf(3)})
}

func forgetReplica(f *fixture) {
	f.store("second")
	f.filled("first", 1)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.copied("second", 1)

	// Nothing else is left in the first store.
	f.execute("UPDATE uploads SET store = NULL")
	f.execute("UPDATE spaces SET store = NULL")
	f.ok(f.RemoveStore(f.ctx, "first"))
	equal(f.t, "replicas", len(must(f.Replicas(f.ctx))(f.t)), 0)
	f.ok(f.RemoveStore(f.ctx, "second"))
	equal(f.t, "stores", len(f.stores()), 0)
	equal(f.t, "copies", len(f.copies("second")), 0)
}

// copyUnneeded sends files that were removed meanwhile, or that only another store is to have.
func copyUnneeded(f *fixture) {
	f.store("second")
	f.filled("first", 1, 2)
	f.filled("other", 3)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.execute("UPDATE shards SET state = 5 WHERE ordinal = 1")
	equal(f.t, "unneeded", f.unneeded("second", 1, 2, 3, 4), []byte{2, 3, 4})
	equal(f.t, "copies", f.copies("second"), []byte{1})
	equal(f.t, "copies of nothing", f.unneeded("second"), nil)
}

// loseReplica loses a replica of a store and of a space that is an origin as well.
func loseReplica(f *fixture) {
	to := f.replicated("lost", 1, 2, 3)
	f.filled("lost", 4)
	f.store("third")
	f.ok(f.SetReplica(f.ctx, "lost", "origin"))
	f.ok(f.SetReplica(f.ctx, "third", "lost"))
	f.copied("lost", 1)
	f.copied("third", 4)
	f.ok(f.Synced(f.ctx, "lost", "origin"))
	f.ok(f.Synced(f.ctx, "third", "lost"))
	f.ok(f.SetAside(f.ctx, f.claimed(to), "the store is broken"))

	f.fails(f.LoseStore(f.ctx, "unknown", "file:///again/"), sqlrepo.ErrNotFound)
	f.ok(f.LoseStore(f.ctx, "lost", "file:///again/"))
	equal(f.t, "URL", f.stores()[0].URL, "file:///again/")
	equal(f.t, "replicas", must(f.Replicas(f.ctx))(f.t), []sqlrepo.Replica{
		{Store: "lost", Space: to.Space, Files: 3, Bytes: 2700},
		{Store: "lost", Origin: "origin", Files: 3, Bytes: 2700},
		{Store: "third", Origin: "lost", SyncedAt: sqlrepo.NewTime(f.now)},
	})
	for range 3 {
		f.ok(f.Sent(f.ctx, f.claimed(to)))
	}
	equal(f.t, "more", f.nothingToSend(to), false)
}
