package conformance

import (
	"fmt"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func stores() []test {
	return []test{
		{"are listed by name", listStores},
		{"are unique", uniqueStores},
		{"may have any name and URL", storeNames},
		{"are added once by many", addStoreAtOnce},
		{"count what they are used for", storeUses},
		{"move", moveStore},
		{"become those of spaces", setSpaceStore},
		{"are forgotten unless they are in use", removeStore},
		{"become those of spaces with the first upload", firstStore},
		{"are seen when an upload is opened", storeSeen},
		{"have to be known", unknownStore},
		{"are those of all that an upload has", storeOfRows},
		{"are not forgotten while an upload is opened", forgetWhileOpening},
		{"are left out of dumps", dumpWithoutStores},
	}
}

func (f *fixture) stores() []sqlrepo.Store {
	f.t.Helper()
	return must(f.Stores(f.ctx))(f.t)
}

// spaceStore returns the store that new uploads of a space go to.
func (f *fixture) spaceStore(space sqlrepo.Space) string {
	f.t.Helper()
	return must(f.FindSpace(f.ctx, space.Name))(f.t).Store
}

func listStores(f *fixture) {
	equal(f.t, "no stores", len(f.stores()), 0)
	second := must(f.AddStore(f.ctx, sqlrepo.Store{Identity: "A", Name: "second", URL: "s3://bucket/?region=a"}))(f.t)
	f.pass(time.Second)
	first := must(f.AddStore(f.ctx, sqlrepo.Store{Identity: "B", Name: "first"}))(f.t)

	equal(f.t, "added", second, sqlrepo.Store{Identity: "A", Name: "second", URL: "s3://bucket/?region=a",
		CreatedAt: sqlrepo.NewTime(started)})
	equal(f.t, "time", first.CreatedAt, sqlrepo.NewTime(f.now))
	equal(f.t, "stores", f.stores(), []sqlrepo.Store{first, second})
}

func uniqueStores(f *fixture) {
	known := must(f.AddStore(f.ctx, sqlrepo.Store{Identity: "A", Name: "a", URL: "file:///a/"}))(f.t)
	for _, taken := range []sqlrepo.Store{
		{Identity: "A", Name: "other", URL: "file:///other/"}, {Identity: "B", Name: "a", URL: "file:///other/"},
	} {
		_, err := f.AddStore(f.ctx, taken)
		f.fails(err, sqlrepo.ErrExists)
	}
	equal(f.t, "stores", f.stores(), []sqlrepo.Store{known})

	// The copies of one directory have the same URL on different hosts.
	must(f.AddStore(f.ctx, sqlrepo.Store{Identity: "B", Name: "b", URL: known.URL}))(f.t)
	equal(f.t, "stores", len(f.stores()), 2)
}

func storeNames(f *fixture) {
	for i, name := range []string{"a b", "日本", `'"; --`, "?", "$1", "%", "nul\x00", "\xff\xfe"} {
		added := must(f.AddStore(f.ctx, sqlrepo.Store{Identity: fmt.Sprint(i), Name: name, URL: "file:///%00'?$1/"}))(f.t)
		equal(f.t, "name", added.Name, sqlrepo.Text(name))
		f.ok(f.RemoveStore(f.ctx, fmt.Sprint(i)))
		equal(f.t, "stores", len(f.stores()), 0)
	}
}

func addStoreAtOnce(f *fixture) {
	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() { _, errs[i] = f.AddStore(f.ctx, sqlrepo.Store{Identity: "A", Name: fmt.Sprint(i)}) })
	}
	group.Wait()

	added := 0
	for _, err := range errs {
		if err == nil {
			added++
			continue
		}
		f.fails(err, sqlrepo.ErrExists)
	}
	equal(f.t, "added", added, 1)
	equal(f.t, "stores", len(f.stores()), 1)
}

func storeUses(f *fixture) {
	f.store("unused")
	equal(f.t, "nothing is used", len(must(f.StoreUses(f.ctx))(f.t)), 0)

	// Two uploads in one store, of which one has two shards with files and a planned one, and one has nothing.
	space := f.space()
	stage := f.stage(f.in(f.source(space), "one"))
	f.toPack(stage, planned(0), planned(1), planned(2))
	f.sealed(packed(f.shard(stage)))
	f.sealed(packed(f.shard(stage)))
	f.in(f.source(space), "one")

	// One that is removed, but not gone yet, and one that is in no store.
	removed := f.source(f.space())
	gone := f.stage(f.in(removed, "two"))
	f.toPack(gone, planned(0))
	f.sealed(packed(f.shard(gone)))
	f.ok(f.GiveUp(f.ctx, gone.Upload.ID))
	f.ok(f.RemoveSource(f.ctx, removed.ID))
	f.packing(f.begin(f.source(space)))

	equal(f.t, "uses", must(f.StoreUses(f.ctx))(f.t), []sqlrepo.StoreUse{
		{Identity: "one", Uploads: 2, Shards: 2, Bytes: 1800}, {Identity: "two", Uploads: 1, Shards: 1, Bytes: 900},
	})
}

func moveStore(f *fixture) {
	f.store("one")
	f.store("two")
	want := f.stores()
	f.ok(f.SetStoreURL(f.ctx, "two", "s3://bucket/?endpoint=http%3A%2F%2Fh"))
	want[1].URL = "s3://bucket/?endpoint=http%3A%2F%2Fh"
	equal(f.t, "stores", f.stores(), want)

	f.fails(f.SetStoreURL(f.ctx, "three", "file:///three/"), sqlrepo.ErrNotFound)
	equal(f.t, "stores", f.stores(), want)
}

func setSpaceStore(f *fixture) {
	space, other := f.space(), f.space()
	equal(f.t, "store before the first one", f.spaceStore(space), "")

	for _, identity := range []string{f.store("one"), f.store("two"), "two"} {
		f.ok(f.SetSpaceStore(f.ctx, space.ID, identity))
		equal(f.t, "store", f.spaceStore(space), identity)
	}

	f.fails(f.SetSpaceStore(f.ctx, space.ID, "three"), sqlrepo.ErrNotFound)
	f.fails(f.SetSpaceStore(f.ctx, other.ID+1, "one"), sqlrepo.ErrNotFound)
	equal(f.t, "store", f.spaceStore(space), "two")
	equal(f.t, "store of another", f.spaceStore(other), "")

	// A store that was set is not the one of an upload's own.
	f.in(f.source(space), "one")
	equal(f.t, "store after an upload elsewhere", f.spaceStore(space), "two")
}

func removeStore(f *fixture) {
	space, unused := f.space(), f.space()
	f.in(f.source(space), "one")
	f.ok(f.SetSpaceStore(f.ctx, space.ID, f.store("two")))
	f.ok(f.SetSpaceStore(f.ctx, unused.ID, f.store("three")))
	f.store("four")

	before := f.everything()
	f.fails(f.RemoveStore(f.ctx, "one"), sqlrepo.ErrStoreInUse) // by an upload
	f.fails(f.RemoveStore(f.ctx, "two"), sqlrepo.ErrStoreInUse) // by a space
	f.fails(f.RemoveStore(f.ctx, "five"), sqlrepo.ErrNotFound)
	equal(f.t, "everything", f.everything(), before)

	f.ok(f.RemoveStore(f.ctx, "four"))
	f.fails(f.RemoveStore(f.ctx, "four"), sqlrepo.ErrNotFound)
	f.ok(f.SetSpaceStore(f.ctx, unused.ID, "two"))
	f.ok(f.RemoveStore(f.ctx, "three"))

	var left []string
	for _, store := range f.stores() {
		left = append(left, store.Identity)
	}
	equal(f.t, "left", left, []string{"one", "two"})
}

func firstStore(f *fixture) {
	space, other := f.space(), f.space()
	source := f.source(space)

	// An upload in no store is no reason to choose one.
	f.open(f.source(space))
	equal(f.t, "store", f.spaceStore(space), "")

	f.in(source, "one")
	equal(f.t, "store of the first upload", f.spaceStore(space), "one")
	f.in(source, "two")
	f.in(f.source(space), "two")
	equal(f.t, "store after others", f.spaceStore(space), "one")
	equal(f.t, "store of another space", f.spaceStore(other), "")
}

func storeSeen(f *fixture) {
	source := f.source(f.space())
	f.store("one")
	f.store("two")
	seen := func() (times []sqlrepo.Time) {
		f.t.Helper()
		for _, store := range f.stores() {
			times = append(times, store.SeenAt)
		}
		return times
	}
	equal(f.t, "seen before", seen(), []sqlrepo.Time{{}, {}})

	f.in(source, "one")
	first := sqlrepo.NewTime(f.now)
	equal(f.t, "seen", seen(), []sqlrepo.Time{first, {}})

	f.pass(time.Hour)
	f.in(source, "two")
	second := sqlrepo.NewTime(f.now)
	equal(f.t, "seen", seen(), []sqlrepo.Time{first, second})

	f.pass(time.Hour)
	f.in(source, "two") // the same upload again
	equal(f.t, "seen", seen(), []sqlrepo.Time{first, sqlrepo.NewTime(f.now)})
}

func unknownStore(f *fixture) {
	fresh, reopened := f.source(f.space()), f.source(f.space())
	f.in(reopened, "one")

	before := f.everything()
	for _, source := range []sqlrepo.Source{fresh, reopened} {
		_, err := f.OpenUpload(f.ctx, source.ID, sqlrepo.Upload{Profile: "profile", ShardSize: shardSize, Store: "two"})
		f.fails(err, sqlrepo.ErrNotFound)
	}
	equal(f.t, "everything", f.everything(), before)
}

// storeOfRows has two uploads with shards and indexes in two stores, and one in none.
func storeOfRows(f *fixture) {
	space := f.space()
	for _, store := range []string{"one", "two", ""} {
		stage := f.stage(f.in(f.source(space), store))
		f.linkedFiles(&stage, "a"+store)
		stage = must(f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{}))(f.t)
		shards := f.uncovered(space, stage.Upload.ID)
		f.ok(f.SaveIndexes(f.ctx, stage, []sqlrepo.NewIndex{newIndex(byte(len(store)), shards...)}))

		for _, shard := range f.shards(stage) {
			equal(f.t, "store of a shard", shard.Store, store)
			equal(f.t, "stored shard", must(f.StoredShard(f.ctx, shard.ID))(f.t).Store, store)
		}
		for _, index := range f.indexesOf(sqlrepo.IndexFilter{Upload: &stage.Upload.ID}) {
			equal(f.t, "store of an index", index.Store, store)
			equal(f.t, "index", must(f.Index(f.ctx, index.ID))(f.t), index)
		}
	}
}

// forgetWhileOpening forgets a store while an upload is opened there. One of the two fails.
func forgetWhileOpening(f *fixture) {
	for range 10 {
		source, identity := f.source(f.space()), f.store("one")
		wanted := fresh(source)
		wanted.Store = identity

		var group sync.WaitGroup
		var opening, forgetting error
		group.Go(func() { _, opening = f.OpenUpload(f.ctx, source.ID, wanted) })
		group.Go(func() { forgetting = f.RemoveStore(f.ctx, identity) })
		group.Wait()

		switch {
		case opening == nil:
			f.fails(forgetting, sqlrepo.ErrStoreInUse)
		case forgetting == nil:
			f.fails(opening, sqlrepo.ErrNotFound)
		default:
			f.t.Errorf("neither succeeded: %v, %v", opening, forgetting)
		}
		f.clear()
	}
}

// dumpWithoutStores dumps the same work in different stores, and in none.
func dumpWithoutStores(f *fixture) {
	want := ""
	for i, store := range []string{"one", "two", ""} {
		f.clear()
		stage := f.stage(f.in(f.source(f.space()), store))
		f.toPack(stage, planned(0))
		f.sealed(packed(f.shard(stage)))

		if i == 0 {
			want = f.dump()
		}
		equal(f.t, "dump in "+store, f.dump(), want)
	}
}
