package conformance

import (
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

func needs() []test {
	return []test{
		{"are those of the uploads in a store", needsOfUploads},
		{"are those of an origin in its replicas", needsOfReplicas},
		{"are those of a space in its replicas", needsOfSpaces},
		{"are everywhere without a recorded store", needsOfUnnamed},
		{"end when the rows of a store are removed", needsEnd},
		{"include indexes", needsOfIndexes},
		{"are what an audit finds", needsAudited},
	}
}

// needed returns, for each digest, "here" if a store is to have its file, and the other stores that are, sorted.
func (f *fixture) needed(store string, digests ...byte) (needed map[byte][]string) {
	f.t.Helper()
	var wanted []sqlrepo.Digest
	for _, b := range digests {
		wanted = append(wanted, digestOf(b))
	}

	named := must(f.Named(f.ctx, store, wanted))(f.t)
	equal(f.t, "still named", must(f.StillNamed(f.ctx, store, wanted))(f.t), named)

	needed = map[byte][]string{}
	for digest, need := range named {
		slices.Sort(need.Elsewhere)
		if need.Here {
			needed[digest[0]] = append(needed[digest[0]], "here")
		}
		needed[digest[0]] = append(needed[digest[0]], need.Elsewhere...)
	}
	return needed
}

// needsOfUploads has one file in two stores, and two files in one store each.
func needsOfUploads(f *fixture) {
	f.filled("a", 1, 2)
	f.filled("b", 2, 3)
	f.filled("a", 2)
	all := []byte{1, 2, 3, 4}
	equal(f.t, "in a", f.needed("a", all...), map[byte][]string{1: {"here"}, 2: {"here", "b"}, 3: {"b"}})
	equal(f.t, "in b", f.needed("b", all...), map[byte][]string{1: {"a"}, 2: {"here", "a"}, 3: {"here"}})
	equal(f.t, "in another", f.needed("c", all...), map[byte][]string{1: {"a"}, 2: {"a", "b"}, 3: {"b"}})
	equal(f.t, "in a store that has lost its identity", f.needed("", all...),
		map[byte][]string{1: {"here"}, 2: {"here"}, 3: {"here"}})
	equal(f.t, "of nothing", f.needed("a"), map[byte][]string{})
}

// needsOfReplicas has a replica that is the origin of another one: that one has nothing of the first origin.
func needsOfReplicas(f *fixture) {
	f.filled("a", 1)
	f.filled("b", 2)
	for _, store := range []string{"second", "third"} {
		f.store(store)
	}
	f.ok(f.SetReplica(f.ctx, "second", "a"))
	f.ok(f.SetReplica(f.ctx, "third", "second"))

	equal(f.t, "in the replica", f.needed("second", 1, 2), map[byte][]string{1: {"here", "a"}, 2: {"b"}})
	equal(f.t, "in the origin", f.needed("a", 1, 2), map[byte][]string{1: {"here", "second"}, 2: {"b"}})
	equal(f.t, "in a replica of the replica", f.needed("third", 1, 2), map[byte][]string{1: {"a", "second"}, 2: {"b"}})

	f.ok(f.SetReplica(f.ctx, "second", "b"))
	f.filled("second", 3)
	equal(f.t, "in the replica of two", f.needed("second", 1, 2, 3),
		map[byte][]string{1: {"here", "a"}, 2: {"here", "b"}, 3: {"here", "third"}})
	equal(f.t, "in its replica", f.needed("third", 1, 2, 3),
		map[byte][]string{1: {"a", "second"}, 2: {"b", "second"}, 3: {"here", "second"}})
}

// needsOfSpaces has two spaces in one store, one of which has a replica. The other store keeps no bytes.
func needsOfSpaces(f *fixture) {
	to := f.replicated("second", 1)
	f.filled("origin", 2)
	none := f.spaceOf(f.filled(sqlrepo.NoneStore, 3).Upload)
	f.ok(f.AddSpaceReplica(f.ctx, sqlrepo.SpaceReplica{Space: none, Store: "second"}))
	all := []byte{1, 2, 3}
	equal(f.t, "in the replica", f.needed("second", all...),
		map[byte][]string{1: {"here", "origin"}, 2: {"origin"}, 3: {sqlrepo.NoneStore}})
	equal(f.t, "in the store", f.needed("origin", all...),
		map[byte][]string{1: {"here", "second"}, 2: {"here"}, 3: {sqlrepo.NoneStore}})

	f.ok(f.RemoveSpaceReplica(f.ctx, to))
	equal(f.t, "in what was a replica", f.needed("second", all...),
		map[byte][]string{1: {"origin"}, 2: {"origin"}, 3: {sqlrepo.NoneStore}})
}

func needsOfUnnamed(f *fixture) {
	f.filled("", 1)
	f.filled("a", 1, 2)
	equal(f.t, "in a", f.needed("a", 1, 2), map[byte][]string{1: {"here"}, 2: {"here"}})
	equal(f.t, "in b", f.needed("b", 1, 2), map[byte][]string{1: {"here", "a"}, 2: {"a"}})
}

// needsEnd removes one of two shards that are the same file in different stores.
func needsEnd(f *fixture) {
	f.filled("a", 1)
	stage := f.filled("b", 1)
	f.expire()
	equal(f.t, "before", f.needed("b", 1), map[byte][]string{1: {"here", "a"}})

	space := sqlrepo.Space{ID: must(f.SpaceOf(f.ctx, stage.Upload.ID))(f.t)}
	shard := f.shards(stage)[0].ID
	mine := f.removed(stage)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
	equal(f.t, "in b", f.needed("b", 1), map[byte][]string{1: {"a"}})
	equal(f.t, "in a", f.needed("a", 1), map[byte][]string{1: {"here"}})
}

func needsOfIndexes(f *fixture) {
	space := f.space()
	stage := f.linked(space, "a")
	f.store("a")
	f.store("b")
	f.execute("UPDATE uploads SET store = 'a'")
	index := newIndex(1, f.uncovered(space, stage.Upload.ID)...)
	must(f.CompleteUpload(f.ctx, stage, []sqlrepo.NewIndex{index}))(f.t)

	digest := sqlrepo.Digest(index.Digest)
	for store, want := range map[string]sqlrepo.Need{"a": {Here: true}, "b": {Elsewhere: []string{"a"}}} {
		equal(f.t, "in "+store, must(f.StillNamed(f.ctx, store, []sqlrepo.Digest{digest}))(f.t)[digest], want)
	}

	f.ok(f.DropIndexes(f.ctx, []int64{f.indexesOf(sqlrepo.IndexFilter{})[0].ID}))
	equal(f.t, "after it was dropped", len(must(f.Named(f.ctx, "b", []sqlrepo.Digest{digest}))(f.t)), 0)
}

func needsAudited(f *fixture) {
	f.filled("a", 1)
	f.filled("b", 2)
	f.filled("", 3)
	f.store("second")
	f.ok(f.SetReplica(f.ctx, "second", "b"))
	for store, want := range map[string][]byte{"a": {1, 3}, "b": {2, 3}, "second": {2, 3}, "c": {3}, "": {1, 2, 3}} {
		var found []byte
		for digest, err := range audit.New(f.Repository).FileDigests(f.ctx, store) {
			f.ok(err)
			found = append(found, digest[0])
		}
		slices.Sort(found)
		equal(f.t, "files of "+store, found, want)
	}
}
