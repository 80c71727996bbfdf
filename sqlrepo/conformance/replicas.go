package conformance

import (
	"iter"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func replicas() []test {
	return []test{
		{"lack what is not copied", replicaLacks},
		{"have everything at some time", replicaSynced},
		{"have known stores on both sides", unknownReplica},
		{"may have several origins", replicaOfSeveral},
		{"forget copies", forgetCopies},
		{"forget copies of what is gone", pruneCopies},
		{"are forgotten with their store", forgetReplica},
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

	// What is recorded twice is there once.
	f.ok(f.AddCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1), digestOf(4)}))
	f.ok(f.AddCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(4), digestOf(9)}))
	equal(f.t, "lacking", f.lacking(f.UncopiedShards(f.ctx, "first", "second")), []sqlrepo.Digest{digestOf(2)})
	equal(f.t, "another lacks all", len(f.lacking(f.UncopiedShards(f.ctx, "first", "other"))), 3)
	equal(f.t, "replicas", must(f.Replicas(f.ctx))(f.t),
		[]sqlrepo.Replica{{Store: "second", Origin: "first", Files: 1, Bytes: 900}})
}

func replicaSynced(f *fixture) {
	f.store("first")
	f.store("second")
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.fails(f.Synced(f.ctx, "first", "second"), sqlrepo.ErrNotFound)
	f.pass(time.Second)
	f.ok(f.Synced(f.ctx, "second", "first"))
	equal(f.t, "time", must(f.Replicas(f.ctx))(f.t)[0].SyncedAt, sqlrepo.NewTime(f.now))
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
	f.ok(f.AddCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1)}))
	f.ok(f.ForgetCopies(f.ctx, "first", []sqlrepo.Digest{digestOf(1)}))
	f.ok(f.ForgetCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(2)}))
	equal(f.t, "lacking", len(f.lacking(f.UncopiedShards(f.ctx, "first", "second"))), 0)

	var known []sqlrepo.Digest
	for digest, err := range f.Copies(f.ctx, "second") {
		f.ok(err)
		known = append(known, digest)
	}
	equal(f.t, "copies", known, []sqlrepo.Digest{digestOf(1)})
	f.ok(f.ForgetCopies(f.ctx, "second", known))
	equal(f.t, "lacking", len(f.lacking(f.UncopiedShards(f.ctx, "first", "second"))), 1)
}

func pruneCopies(f *fixture) {
	f.store("second")
	f.filled("first", 1)
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.ok(f.AddCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1), digestOf(2), digestOf(3)}))
	f.filled("other", 3) // a row names it, in a store that has no replica
	f.ok(f.PruneCopies(f.ctx))
	equal(f.t, "lacking", len(f.lacking(f.UncopiedShards(f.ctx, "first", "second"))), 0)

	// A shard of the digest that was forgotten counts as one that is not copied.
	f.filled("first", 2, 3)
	equal(f.t, "lacking", f.lacking(f.UncopiedShards(f.ctx, "first", "second")),
		[]sqlrepo.Digest{digestOf(2), digestOf(3)})
}

func forgetReplica(f *fixture) {
	f.store("first")
	f.store("second")
	f.ok(f.SetReplica(f.ctx, "second", "first"))
	f.ok(f.AddCopies(f.ctx, "second", []sqlrepo.Digest{digestOf(1)}))
	f.ok(f.RemoveStore(f.ctx, "first"))
	equal(f.t, "replicas", len(must(f.Replicas(f.ctx))(f.t)), 0)
	f.ok(f.RemoveStore(f.ctx, "second"))
	equal(f.t, "stores", len(f.stores()), 0)
}
