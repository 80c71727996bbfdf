package conformance

import (
	"fmt"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func foundBlocks() []test {
	return []test{
		{"are found in one space or in all", blocksFound},
		{"are told apart when they begin alike", blocksAlike},
		{"are found many at once", blocksMany},
		{"are not found in shards that are about to go", blocksCondemned},
		{"lie in shards that are stored", storedShard},
		{"lead to uploads by their root", uploadsWithRoot},
		{"are those of entries below a path", entriesBelow},
		{"are those of files, with their roots", listing},
	}
}

// places finds blocks and clears their codecs and lengths.
func (f *fixture) places(space *int64, wanted ...sqlrepo.Digest) (found []sqlrepo.Place) {
	f.t.Helper()
	for _, place := range must(f.FindBlocks(f.ctx, space, wanted))(f.t) {
		if place.Codec != 0x55 || place.Length != 1 {
			f.t.Errorf("%+v", place)
		}
		place.Codec, place.Length = 0, 0
		found = append(found, place)
	}
	return found
}

func at(shard int64, position int32, digest sqlrepo.Digest) sqlrepo.Place {
	return sqlrepo.Place{Shard: shard, Node: sqlrepo.Node{Position: position, Digest: digest}}
}

func blocksFound(f *fixture) {
	space, other := f.space(), f.space()
	a, b, c := digest(1, 1), digest(0xff, 0), digest(3, 3)

	f.hold(space, a, b)
	f.hold(other, b, c)
	f.hold(space, c, a)

	equal(f.t, "everywhere", f.places(nil, c, b, a, a, digest(9, 9)), []sqlrepo.Place{
		at(1, 0, a), at(1, 1, b), at(2, 0, b), at(2, 1, c), at(3, 0, c), at(3, 1, a),
	})
	equal(f.t, "in a space", f.places(&other.ID, a, b, c), []sqlrepo.Place{at(2, 0, b), at(2, 1, c)})
	equal(f.t, "nothing wanted", len(f.places(nil)), 0)
}

func blocksAlike(f *fixture) {
	var alike []sqlrepo.Digest
	for suffix := range byte(4) {
		alike = append(alike, digest(0x99, suffix))
	}
	f.hold(f.space(), alike[:3]...)
	equal(f.t, "one", f.places(nil, alike[1]), []sqlrepo.Place{at(1, 1, alike[1])})
	equal(f.t, "some", f.places(nil, alike[3], alike[2]), []sqlrepo.Place{at(1, 2, alike[2])})
}

func blocksMany(f *fixture) {
	all := make([]sqlrepo.Digest, 24_000)
	for i := range all {
		all[i] = sqlrepo.Digest{byte(i), byte(i >> 8), 31: 7}
	}
	f.hold(f.space(), all[:12_000]...)
	equal(f.t, "found", len(f.places(nil, all...)), 12_000)
}

func blocksCondemned(f *fixture) {
	space, a, b := f.space(), digest(1, 1), digest(2, 2)
	mine, shard := f.condemnable(space, a)
	f.hold(space, a, b)

	equal(f.t, "before", len(f.places(nil, a, b)), 3)
	must(f.StoredShard(f.ctx, shard))(f.t)

	// Condemned blocks no longer count. Those of the other shard still do.
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
	equal(f.t, "after", f.places(nil, a, b), []sqlrepo.Place{at(shard+1, 0, a), at(shard+1, 1, b)})

	_, err := f.StoredShard(f.ctx, shard)
	f.fails(err, sqlrepo.ErrNotFound)
}

func storedShard(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planned(0), planned(1))
	claimed := f.shard(stage)
	_, err := f.StoredShard(f.ctx, claimed.ID)
	f.fails(err, sqlrepo.ErrNotFound)

	f.sealed(packed(claimed))
	got := must(f.StoredShard(f.ctx, claimed.ID))(f.t)
	equal(f.t, "shard", got, f.shards(stage)[0])
	equal(f.t, "state", got.State, sqlrepo.ShardPacked)

	_, err = f.StoredShard(f.ctx, 100)
	f.fails(err, sqlrepo.ErrNotFound)
}

func uploadsWithRoot(f *fixture) {
	root := exampleCID()
	equal(f.t, "none", len(must(f.UploadsWithRoot(f.ctx, root))(f.t)), 0)
	space := f.space()
	indexing, complete, unfinished := f.linked(space, "a"), f.linked(space, "b"), f.linked(space, "c")

	must(f.CompleteUpload(f.ctx, complete, nil))(f.t)
	removed := f.linked(space, "d")
	must(f.CompleteUpload(f.ctx, removed, nil))(f.t)

	// An upload that is opened again loses its root.
	f.again(must(f.Source(f.ctx, unfinished.Upload.Source))(f.t))
	f.ok(f.RemoveUpload(f.ctx, removed.Upload.ID))

	var ids []int64
	for _, upload := range must(f.UploadsWithRoot(f.ctx, root))(f.t) {
		equal(f.t, "root", upload.RootCID, root)
		ids = append(ids, upload.ID)
	}

	equal(f.t, "uploads", ids, []int64{complete.Upload.ID, indexing.Upload.ID})
}

func entriesBelow(f *fixture) {
	stage := f.newStage()
	link := entry("d/l", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte{0xff}, ModTime: -5, Mode: 0o777})

	failed := file("d/failed", 1)
	failed.State = sqlrepo.Failed
	added := f.add(stage, directory(""), directory("d"), file("d/a", 3), link, failed, file("d-", 4), file("d/a/x", 5))

	below := func(path sqlrepo.Path) (found []string) {
		for _, e := range collect(f.t, f.EntriesBelow(f.ctx, stage.Upload.ID, path)) {
			found = append(found, fmt.Sprintf("%s %s %d", e.Path, e.Kind, e.Size))
			if e.ID == added[3].ID {
				equal(f.t, "symlink", e.Fingerprint, link.Fingerprint)
			}
		}
		return found
	}

	equal(f.t, "all", below(""), []string{". directory 0", "d directory 0", "d/a file 3", "d/a/x file 5", "d/l symlink 0",
		"d- file 4"})
	equal(f.t, "below d", below("d"), []string{"d directory 0", "d/a file 3", "d/a/x file 5", "d/l symlink 0"})
	equal(f.t, "a file", below("d-"), []string{"d- file 4"})
	equal(f.t, "nothing", len(below("x")), 0)
}

// listing has files of its own and some that share the content of an earlier upload.
func listing(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	old := f.linkedFiles(&first, "a", "b")
	f.complete(first)

	second := f.begin(source)
	shared := file("b", 700)
	shared.Origin = old[1].ID
	f.add(second, directory(""), file("a", 1), shared)

	roots := map[string]sqlrepo.CID{}
	for _, e := range collect(f.t, f.Listing(f.ctx, second.Upload.ID)) {
		roots[e.Path.String()] = e.Root
	}
	equal(f.t, "roots", roots, map[string]sqlrepo.CID{".": {}, "a": {}, "b": exampleCID()})

	for _, e := range collect(f.t, f.Listing(f.ctx, first.Upload.ID)) {
		equal(f.t, e.Path.String(), e.Root, exampleCID())
	}
}
