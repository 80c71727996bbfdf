package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func holdings() []test {
	return []test{
		{"are those of the space alone", heldInSpace},
		{"are those of a store", heldInStore},
		{"are those of an upload", heldByUpload},
		{"are told apart when they begin alike", heldCollisions},
		{"are not looked up in an empty space", heldInEmptySpace},
		{"are looked up many at once", heldMany},
		{"belong to a space", heldNeedsSpace},
		{"are stored once by uploads at the same time", heldOnce},
	}
}

// digest returns a digest with the given byte in its first 64 bits and another one in the rest.
func digest(prefix, suffix byte) (d sqlrepo.Digest) {
	for i := range d {
		d[i] = prefix
		if i >= 8 {
			d[i] = suffix
		}
	}
	return d
}

// holding returns the result of packing a shard with these blocks.
func holding(shard sqlrepo.Shard, blocks ...sqlrepo.Digest) sqlrepo.PackedShard {
	result := packed(shard)
	result.Nodes, result.Digests = nil, nil
	for i, block := range blocks {
		result.Nodes = append(result.Nodes, sqlrepo.Node{Position: int32(i), Length: 1, Codec: 0x55, Digest: block})
		result.Digests = append(result.Digests, block[:]...)
	}
	return result
}

// hold packs and seals a shard with these blocks in a new upload.
func (f *fixture) hold(space sqlrepo.Space, blocks ...sqlrepo.Digest) {
	f.t.Helper()
	f.sealed(holding(f.claimOnly(f.begin(f.source(space)), 0), blocks...))
}

func (f *fixture) held(space sqlrepo.Space, revision int64, wanted []sqlrepo.Digest, held ...sqlrepo.Digest) {
	f.t.Helper()
	want := sqlrepo.Holdings{Revision: revision, Digests: map[sqlrepo.Digest]struct{}{}}
	for _, digest := range held {
		want.Digests[digest] = struct{}{}
	}
	equal(f.t, "held", must(f.Held(f.ctx, sqlrepo.Scope{Space: space.ID}, wanted))(f.t), want)
}

func heldInSpace(f *fixture) {
	space, other := f.space(), f.space()
	a, b, c, d := digest(1, 1), digest(0xff, 0), digest(3, 3), digest(0x80, 4)
	wanted := []sqlrepo.Digest{a, b, c, d, a}

	f.held(space, 0, wanted)
	f.hold(space, a, b)
	f.hold(space, b, b)
	f.hold(other, c)
	f.dag(f.begin(f.source(other)), 0)

	f.held(space, 2, wanted, a, b)
	f.held(other, 2, wanted, c)
	f.held(space, 2, nil)

	// Planned blocks are not held, nor are those of an empty shard.
	claimed := f.claimOnly(f.begin(f.source(space)), 0)
	f.held(space, 2, wanted, a, b)
	empty := holding(claimed)
	empty.Shard.State = sqlrepo.ShardEmpty
	f.sealed(empty)
	f.held(space, 3, wanted, a, b)
}

// holdIn packs and seals a shard with a block in a new upload. Its store is "" if it is not known.
func (f *fixture) holdIn(space sqlrepo.Space, store string, block sqlrepo.Digest) (upload int64) {
	f.t.Helper()
	opened := f.in(f.source(space), store)
	f.sealed(holding(f.claimOnly(f.stage(opened), 0), block))
	return opened.ID
}

// heldWithin returns the given blocks that are held within a scope.
func (f *fixture) heldWithin(scope sqlrepo.Scope, digests ...sqlrepo.Digest) (held []sqlrepo.Digest) {
	f.t.Helper()
	all := must(f.Held(f.ctx, scope, digests))(f.t)
	equal(f.t, "at the revision", must(f.HeldAt(f.ctx, scope, all.Revision, digests))(f.t), all)
	for _, digest := range digests {
		if _, ok := all.Digests[digest]; ok {
			held = append(held, digest)
		}
	}
	return held
}

func heldInStore(f *fixture) {
	space := f.space()
	a, b, unknown := digest(1, 1), digest(2, 2), digest(3, 3)
	f.holdIn(space, "one", a)
	f.holdIn(space, "two", b)
	f.holdIn(space, "", unknown)
	for store, want := range map[string][]sqlrepo.Digest{
		"one": {a, unknown}, "two": {b, unknown}, "three": {unknown}, "": {a, b, unknown},
	} {
		equal(f.t, "held in "+store, f.heldWithin(sqlrepo.Scope{Space: space.ID, Store: store}, a, b, unknown), want)
	}
}

func heldByUpload(f *fixture) {
	space := f.space()
	a, b := digest(1, 1), digest(2, 2)
	first, second := f.holdIn(space, "one", a), f.holdIn(space, "one", b)
	for upload, want := range map[int64][]sqlrepo.Digest{first: {a}, second: {b}, 0: {a, b}} {
		scope := sqlrepo.Scope{Space: space.ID, Store: "one", Upload: upload}
		equal(f.t, fmt.Sprint("held by ", upload), f.heldWithin(scope, a, b), want)
	}
}

func heldCollisions(f *fixture) {
	space := f.space()
	var alike []sqlrepo.Digest
	for suffix := range byte(8) {
		alike = append(alike, digest(0x99, suffix))
	}
	f.hold(space, alike[:3]...)
	f.hold(space, alike[2:5]...)
	f.held(space, 2, alike, alike[:5]...)
	f.held(space, 2, alike[5:])
	f.held(space, 2, alike[4:6], alike[4])
}

// heldInEmptySpace puts a block there without a seal, to see whether it is looked up.
func heldInEmptySpace(f *fixture) {
	space := f.space()
	f.hold(space, digest(1, 1))
	f.execute("UPDATE spaces SET revision = 0")
	f.held(space, 0, []sqlrepo.Digest{digest(1, 1)})
}

func heldMany(f *fixture) {
	space := f.space()
	all := make([]sqlrepo.Digest, 10_000)
	for i := range all {
		all[i] = digest(byte(i), byte(i>>8))
		all[i][31] = 7
	}
	f.hold(space, all[:5000]...)
	f.held(space, 1, all, all[:5000]...)
}

func heldNeedsSpace(f *fixture) {
	_, err := f.Held(f.ctx, sqlrepo.Scope{Space: 100}, []sqlrepo.Digest{{1}})
	f.fails(err, sqlrepo.ErrNotFound)
}

// heldOnce seals the same block from several uploads at the same time.
func heldOnce(f *fixture) {
	space, block := f.space(), digest(5, 5)
	var shards []sqlrepo.Shard
	for range 4 {
		shards = append(shards, f.claimOnly(f.begin(f.source(space)), 0))
	}

	var stored atomic.Int64
	var group sync.WaitGroup
	for _, shard := range shards {
		group.Go(func() {
			// A worker that is too late looks the block up again.
			err := sqlrepo.ErrSpaceChanged
			for errors.Is(err, sqlrepo.ErrSpaceChanged) {
				err = f.sealUnlessHeld(space, shard, block, &stored)
			}
			if err != nil {
				f.t.Error(err)
			}
		})
	}

	group.Wait()
	equal(f.t, "stored", stored.Load(), 1)
	equal(f.t, "nodes", len(f.rows("nodes")), 1)
	f.held(space, 4, []sqlrepo.Digest{block}, block)
}

// sealUnlessHeld seals a shard with a block, or an empty one if the space has the block.
func (f *fixture) sealUnlessHeld(space sqlrepo.Space, shard sqlrepo.Shard, block sqlrepo.Digest,
	stored *atomic.Int64) error {
	held, err := f.Held(f.ctx, sqlrepo.Scope{Space: space.ID}, []sqlrepo.Digest{block})
	if err != nil {
		return err
	}

	result := holding(shard, block)
	if _, ok := held.Digests[block]; ok {
		result = holding(shard)
		result.Shard.State = sqlrepo.ShardEmpty
	}

	at := sqlrepo.SpaceAt{Space: space.ID, Revision: held.Revision}
	return f.Seal(f.ctx, at, &result, func(context.Context) error {
		stored.Add(int64(len(result.Nodes)))
		return nil
	})
}
