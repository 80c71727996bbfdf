package conformance

import (
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// condemnable returns the removal of an upload that has one shard with some blocks.
func (f *fixture) condemnable(space sqlrepo.Space, blocks ...sqlrepo.Digest) (mine sqlrepo.Stage, shard int64) {
	f.t.Helper()
	stage := f.begin(f.source(space))
	claimed := f.claimOnly(stage, 0)
	f.sealed(holding(claimed, blocks...))
	return f.removed(stage), claimed.ID
}

func condemnHides(f *fixture) {
	space, a, b := f.space(), digest(1, 1), digest(2, 2)
	mine, shard := f.condemnable(space, a)
	f.hold(space, b)
	f.held(space, 2, []sqlrepo.Digest{a, b}, a, b)
	found := map[int64]struct{}{}
	f.ok(f.Holders(f.ctx, sqlrepo.Scope{Space: space.ID}, []sqlrepo.Digest{a}, found))
	equal(f.t, "holders", found, map[int64]struct{}{shard: {}})

	view := f.view(space)
	f.ok(f.Condemn(f.ctx, mine, view, []int64{shard}))
	equal(f.t, "the view has another revision", view.Revision > 2, true)
	f.held(space, view.Revision, []sqlrepo.Digest{a, b}, b)
	clear(found)
	f.ok(f.Holders(f.ctx, sqlrepo.Scope{Space: space.ID}, []sqlrepo.Digest{a, b}, found))
	equal(f.t, "holders after that", len(found), 1)
	equal(f.t, "state", f.shards(mine)[0].State, sqlrepo.ShardRemoving)
	f.ok(f.Condemn(f.ctx, mine, view, []int64{shard}))
}

func condemnStale(f *fixture) {
	space := f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	view := f.view(space)
	f.hold(space, digest(2, 2))
	before := f.everything()
	f.fails(f.Condemn(f.ctx, mine, view, []int64{shard}), sqlrepo.ErrSpaceChanged)
	equal(f.t, "everything", f.everything(), before)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
}

// condemnNeeds takes a space through changes that leave its revision and its uploads as they were viewed. A
// failover that loses commits may lead to this.
func condemnNeeds(f *fixture) {
	space := f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	other, ended := f.begin(f.source(space)), f.begin(f.source(space))
	f.complete(ended)
	seen := f.view(space).Needs

	for what, change := range map[string]func(){
		"opening":  func() { f.open(f.source(space)) },
		"removing": func() { f.ok(f.RemoveUpload(f.ctx, ended.Upload.ID)) },
		"sealing":  func() { f.hold(space, digest(3, 3)) },
		"linking": func() {
			other = must(f.BeginIndexing(f.ctx, other, exampleCID(), sqlrepo.Counts{}))(f.t)
		},
		"repair": func() { f.ok(f.MendCounters(f.ctx)) },
	} {
		change()
		now := f.view(space).Needs
		if now <= seen {
			f.t.Errorf("%s changes needs from %d to %d", what, seen, now)
		}
		seen = now
	}

	must(f.CompleteUpload(f.ctx, other, nil))(f.t)

	// Everything but Needs is up to date in this view.
	stale := f.view(space)
	stale.Needs = seen
	f.fails(f.Condemn(f.ctx, mine, stale, []int64{shard}), sqlrepo.ErrSpaceChanged)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
}

func condemnCompleted(f *fixture) {
	space := f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	other := f.begin(f.source(space))
	view := f.view(space)
	f.complete(other)

	f.fails(f.Condemn(f.ctx, mine, view, []int64{shard}), sqlrepo.ErrSpaceChanged)
	f.complete(f.begin(f.source(space)))
	f.fails(f.Condemn(f.ctx, mine, view, []int64{shard}), sqlrepo.ErrSpaceChanged)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
}

func condemnLinking(f *fixture) {
	space := f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	linking := must(f.reach(f.begin(f.source(space)), sqlrepo.Linking))(f.t)
	err := f.Condemn(f.ctx, mine, f.view(space), []int64{shard})
	f.fails(err, sqlrepo.ErrAtWork)
	if !strings.Contains(fmt.Sprint(err), "worker") {
		f.t.Errorf("who is it? %v", err)
	}

	f.ok(f.Release(f.ctx, linking))
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
}

func condemnBegun(f *fixture) {
	space := f.space()
	mine, shard := f.condemnable(space, digest(1, 1))
	view := f.view(space)
	f.begin(f.source(space))
	before := f.everything()
	f.fails(f.Condemn(f.ctx, mine, view, []int64{shard}), sqlrepo.ErrSpaceChanged)
	equal(f.t, "everything", f.everything(), before)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
}

func condemnAbandonedLink(f *fixture) {
	space := f.space()
	source := f.source(space)
	linking := must(f.reach(f.begin(source), sqlrepo.Linking))(f.t)
	mine, shard := f.condemnable(space, digest(1, 1)) // lets leases end

	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{shard}))
	_, err := f.Advance(f.ctx, linking, sqlrepo.Incomplete)
	f.fails(err, sqlrepo.ErrLeaseLost)
	f.fails(f.Renew(f.ctx, linking, term, 0), sqlrepo.ErrLeaseLost)

	equal(f.t, "state", f.stage(f.upload(linking)).Upload.State, sqlrepo.Linking)
}

func condemnShared(f *fixture) {
	space := f.space()
	stage := f.begin(f.source(space))
	files := f.add(stage, file("a", 1))
	claimed := f.claimOnly(stage, 0, files...)
	f.sealed(holding(claimed, digest(1, 1)))
	mine := f.removed(stage)
	f.ok(f.Condemn(f.ctx, mine, f.view(space), []int64{claimed.ID}))
	equal(f.t, "state", f.shards(mine)[0].State, sqlrepo.ShardPacked)
}
