package conformance

import (
	"errors"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func spaces() []test {
	return []test{
		{"are found by name and DID", findSpaces},
		{"are unique", uniqueSpaces},
		{"need a DID", spaceNeedsDID},
		{"may have any name", spaceNames},
		{"get keys one after the other", concurrentSpaces},
		{"are added with a source", spaceWithSource},
		{"are renamed", renameSpace},
		{"change their shard size", spaceShardSize},
		{"are removed when nothing is left of them", removeSpace},
		{"are not removed while somebody adds to them", removeSpaceAtOnce},
	}
}

func findSpaces(f *fixture) {
	equal(f.t, "no spaces", len(must(f.Spaces(f.ctx))(f.t)), 0)
	a, b := f.space(), f.space()
	equal(f.t, "time", a.CreatedAt, sqlrepo.NewTime(started))
	equal(f.t, "list", must(f.Spaces(f.ctx))(f.t), []sqlrepo.Space{a, b})
	equal(f.t, "by name", must(f.FindSpace(f.ctx, b.Name))(f.t), b)
	equal(f.t, "by DID", must(f.FindSpace(f.ctx, string(a.DID)))(f.t), a)
	for _, unknown := range []string{"", "other", "did:key:other", "SPACE 1"} {
		_, err := f.FindSpace(f.ctx, unknown)
		f.fails(err, sqlrepo.ErrNotFound)
	}
}

func uniqueSpaces(f *fixture) {
	a := f.space()
	for _, taken := range []sqlrepo.Space{{DID: a.DID, Name: "another"}, {DID: "did:key:another", Name: a.Name}} {
		_, err := f.AddSpace(f.ctx, taken)
		f.fails(err, sqlrepo.ErrExists)
	}
	equal(f.t, "spaces", must(f.Spaces(f.ctx))(f.t), []sqlrepo.Space{a})
	if b := f.space(); b.ID != a.ID+1 {
		f.t.Errorf("the key after %d is %d: failures used keys up", a.ID, b.ID)
	}
}

func spaceWithSource(f *fixture) {
	taken := f.source(f.space())
	given := sqlrepo.Source{Name: "first", Path: []byte("/first"), SourceOptions: sqlrepo.SourceOptions{
		Excludes: sqlrepo.Lines{"*.tmp"}, SymlinkPolicy: "keep",
	}}

	space, source, err := f.AddSpaceWith(f.ctx, sqlrepo.Space{DID: "did:key:with", Name: "with", ShardSize: 1 << 20},
		given)
	f.ok(err)

	equal(f.t, "found", must(f.FindSpace(f.ctx, "with"))(f.t), space)
	equal(f.t, "sources", must(f.Sources(f.ctx, space.ID))(f.t), []sqlrepo.Source{source})
	equal(f.t, "options", source.SourceOptions, given.SourceOptions)
	equal(f.t, "keys", [2]int64{space.ID, source.ID}, [2]int64{taken.Space + 1, taken.ID + 1})

	// If the name is taken, neither is added.
	_, _, err = f.AddSpaceWith(f.ctx, sqlrepo.Space{DID: "did:key:other", Name: "with"}, given)
	f.fails(err, sqlrepo.ErrExists)
	equal(f.t, "spaces", len(must(f.Spaces(f.ctx))(f.t)), 2)
}

func spaceNeedsDID(f *fixture) {
	for _, did := range []sqlrepo.DID{"", "key:z6Mk", "z6Mk"} {
		if _, err := f.AddSpace(f.ctx, sqlrepo.Space{DID: did, Name: "name"}); err == nil {
			f.t.Errorf("%q was taken for a DID", did)
		}
	}
}

func spaceNames(f *fixture) {
	for _, name := range []string{"a b", "日本", `'"; --`, "?", "$1", "%", "nul\x00", "\xff\xfe"} {
		added := must(f.AddSpace(f.ctx, sqlrepo.Space{DID: sqlrepo.DID("did:key:" + sqlrepo.Text(name)), Name: name}))(f.t)
		equal(f.t, "name", added.Name, sqlrepo.Text(name))
		equal(f.t, "found", must(f.FindSpace(f.ctx, name))(f.t), added)
	}
}

func concurrentSpaces(f *fixture) {
	const n = 20
	var group sync.WaitGroup

	for i := range n {
		group.Go(func() {
			name := string(rune('a' + i))
			if _, err := f.AddSpace(f.ctx, sqlrepo.Space{DID: sqlrepo.DID("did:key:" + name), Name: name}); err != nil {
				f.t.Error(err)
			}
		})
	}
	group.Wait()

	for i, space := range must(f.Spaces(f.ctx))(f.t) {
		equal(f.t, "key", space.ID, int64(i+1))
	}
	equal(f.t, "spaces", len(must(f.Spaces(f.ctx))(f.t)), n)
}

func renameSpace(f *fixture) {
	a, b := f.space(), f.space()
	f.fails(f.RenameSpace(f.ctx, a, b.Name), sqlrepo.ErrExists)
	f.ok(f.RenameSpace(f.ctx, a, "new\x00"))

	renamed := a
	renamed.Name = sqlrepo.Text("new\x00")
	equal(f.t, "spaces", must(f.Spaces(f.ctx))(f.t), []sqlrepo.Space{renamed, b})

	// The caller knows a name that the space no longer has.
	f.fails(f.RenameSpace(f.ctx, a, "other"), sqlrepo.ErrNotFound)
	f.ok(f.RenameSpace(f.ctx, renamed, renamed.Name))
}

func spaceShardSize(f *fixture) {
	a, b := f.space(), f.space()
	f.ok(f.SetShardSize(f.ctx, a.ID, 5<<20))
	a.ShardSize = 5 << 20
	equal(f.t, "spaces", must(f.Spaces(f.ctx))(f.t), []sqlrepo.Space{a, b})
	f.fails(f.SetShardSize(f.ctx, b.ID+1, 5<<20), sqlrepo.ErrNotFound)
}

func removeSpace(f *fixture) {
	kept, space := f.space(), f.space()
	other := f.source(kept)
	f.begin(other)
	f.fails(f.RemoveSpace(f.ctx, space.ID+1), sqlrepo.ErrNotFound)

	source := f.source(space)
	f.fails(f.RemoveSpace(f.ctx, space.ID), sqlrepo.ErrSpaceInUse)

	// The upload of a removed source counts until nothing is left of it.
	stage := f.begin(source)
	f.ok(f.RemoveSource(f.ctx, source.ID))
	f.fails(f.RemoveSpace(f.ctx, space.ID), sqlrepo.ErrSpaceInUse)
	f.expire()
	f.ok(f.RemoveUpload(f.ctx, stage.Upload.ID))
	f.fails(f.RemoveSpace(f.ctx, space.ID), sqlrepo.ErrSpaceInUse)
	removal := must(f.ClaimRemoval(f.ctx, claim("remover"), stage.Upload.ID))(f.t)
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, removal))(f.t), true)

	f.ok(f.RemoveSpace(f.ctx, space.ID))
	equal(f.t, "spaces", must(f.Spaces(f.ctx))(f.t), []sqlrepo.Space{kept})
	_, err := f.Source(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrNotFound)
	equal(f.t, "the other source", must(f.Source(f.ctx, other.ID))(f.t), other)
	f.fails(f.RemoveSpace(f.ctx, space.ID), sqlrepo.ErrNotFound)
}

// removeSpaceAtOnce removes spaces while their removed source is taken back in, or gets an upload: either the space is
// gone, or it has what was added.
func removeSpaceAtOnce(f *fixture) {
	for i := range 10 {
		space := f.space()
		source := f.source(space)
		f.ok(f.RemoveSource(f.ctx, source.ID))

		var added, removed error
		var group sync.WaitGroup
		group.Go(func() {
			if i%2 == 0 {
				_, added = f.AddSource(f.ctx, source)
			} else {
				_, added = f.OpenUpload(f.ctx, source.ID, fresh(source))
			}
		})
		group.Go(func() { removed = f.RemoveSpace(f.ctx, space.ID) })
		group.Wait()

		_, err := f.FindSpace(f.ctx, space.Name)
		if removed == nil {
			f.fails(err, sqlrepo.ErrNotFound)
			f.fails(added, sqlrepo.ErrMissingReference)
			continue
		}
		f.fails(removed, sqlrepo.ErrSpaceInUse)
		f.ok(errors.Join(added, err))
	}
}
