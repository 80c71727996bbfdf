package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// pair is a repository and an empty one in another database.
type pair struct {
	*fixture
	target *fixture
}

// RunTransfer tests what is promised of the copy of a repository, from one engine to another or to the same. The
// functions return empty databases with the present schema, and close them when the test ends.
func RunTransfer(t *testing.T, from, to func(t *testing.T) *dialect.DB) {
	source, target := from(t), to(t)
	for _, test := range []struct {
		name string
		run  func(*pair)
	}{
		{"copies all rows", transferAll},
		{"of nothing is empty", transferNothing},
		{"goes on with the keys", transferKeys},
		{"leaves leases behind", transferLeases},
		{"keeps what failed", transferFailures},
		{"refuses a source in use", transferInUse},
		{"takes a source in use as it is", transferLive},
		{"refuses a target that is not empty", transferNotEmpty},
		{"refuses a target in use", transferTargetInUse},
		{"refuses its own database", transferSame},
		{"is all or nothing", transferStopped},
		{"obeys who is asked", transferNotReady},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&pair{newFixture(t, source), newFixture(t, target)})
		})
	}
}

// transfer copies with the default options.
func (p *pair) transfer() (copying.Content, error) {
	p.t.Helper()
	return p.TransferTo(p.ctx, p.target.Repository, copying.Transfer{})
}

// transferred copies, which must succeed.
func (p *pair) transferred() copying.Content {
	p.t.Helper()
	p.expire()
	return must(p.transfer())(p.t)
}

// refused checks that nothing was copied.
func (p *pair) refused(want error) {
	p.t.Helper()
	before := p.target.dump()
	_, err := p.transfer()
	p.fails(err, want)
	equal(p.t, "target", p.target.dump(), before)
}

func transferAll(p *pair) {
	p.scenario()
	p.store("replica")
	p.ok(p.SetReplica(p.ctx, "replica", p.store("origin")))
	p.claimed(p.replicated("another", 1))
	p.copied("replica", 1)
	copied := p.transferred()
	equal(p.t, "dump", p.target.dump(), p.dump())
	equal(p.t, "content", copied, must(p.Content(p.ctx))(p.t))
	equal(p.t, "content of the copy", must(p.target.Content(p.ctx))(p.t), copied)

	// A dump leaves stores out.
	equal(p.t, "stores", p.target.stores(), p.stores())
	equal(p.t, "replicas", must(p.target.Replicas(p.ctx))(p.t), must(p.Replicas(p.ctx))(p.t))
	equal(p.t, "spaces", must(p.target.Spaces(p.ctx))(p.t), must(p.Spaces(p.ctx))(p.t))
	for _, table := range copied {
		if table.Rows == 0 {
			p.t.Errorf("the scenario has no row in %s", table.Table)
		}
	}
}

func transferNothing(p *pair) {
	p.transferred()
	equal(p.t, "dump", p.target.dump(), "")
	p.scenario()
	p.transferred()
	equal(p.t, "dump", p.target.dump(), p.dump())
}

func transferKeys(p *pair) {
	p.scenario()
	p.transferred()
	p.target.made, p.target.now = p.made, p.now
	for _, f := range []*fixture{p.fixture, p.target} {
		stage := f.begin(f.source(f.space()))
		f.toPack(stage, planFor(0, f.add(stage, file("more", 5))...))
	}
	equal(p.t, "dump after the same work", p.target.dump(), p.dump())
}

func transferLeases(p *pair) {
	source := p.source(p.space())
	stage := p.begin(source)
	p.toPack(stage, planFor(0, p.add(stage, file("a", 5))...))
	shard := p.shard(stage)
	p.ok(p.Renew(p.ctx, shard, term, 7))

	p.transferred()
	p.target.now = started

	// In the copy the shard can be claimed at once.
	again := p.target.shard(stage)
	equal(p.t, "attempts", again.Attempts, 0)
	p.ok(p.target.Release(p.ctx, again))

	lease := collect(p.t, p.target.Shards(p.ctx, stage.Upload.ID, sqlrepo.ShardFilter{}))[0].Lease
	equal(p.t, "lease", lease, sqlrepo.Lease{})
	p.fails(p.target.Renew(p.ctx, shard, term, 8), sqlrepo.ErrLeaseLost)
}

func transferFailures(p *pair) {
	stage := p.newStage()
	p.toPack(stage, planFor(0, p.add(stage, file("a", 5))...), planned(1))
	p.ok(p.Fail(p.ctx, p.shard(stage), "reason", term))
	p.ok(p.SetAside(p.ctx, p.shard(stage), "reason"))
	want := must(p.ShardsUnderWay(p.ctx, stage.Upload.ID))(p.t)
	p.transferred()
	equal(p.t, "shards", must(p.target.ShardsUnderWay(p.ctx, stage.Upload.ID))(p.t), want)
	equal(p.t, "failed and set aside", len(want), 2)
}

func transferInUse(p *pair) {
	p.scenario()
	p.expire()
	lock := must(p.LockUse(p.ctx))(p.t)
	p.refused(copying.ErrSourceInUse)
	p.ok(lock.Release())
	p.newStage() // has a lease, and no lock
	p.refused(copying.ErrSourceInUse)
	p.transferred()
	equal(p.t, "dump", p.target.dump(), p.dump())
}

func transferLive(p *pair) {
	p.scenario()
	p.newStage()
	lock := must(p.LockUse(p.ctx))(p.t)
	want := p.dump()
	changed := false

	meanwhile := func(copying.TransferProgress) {
		if !changed {
			changed = true
			p.newStage()
		}
	}

	copied, err := p.TransferTo(p.ctx, p.target.Repository, copying.Transfer{AllowLive: true, Progress: meanwhile})
	p.ok(err)
	p.ok(lock.Release())

	equal(p.t, "changed", changed, true)
	equal(p.t, "dump", p.target.dump(), want)
	equal(p.t, "content", must(p.target.Content(p.ctx))(p.t), copied)
}

func transferNotEmpty(p *pair) {
	p.scenario()
	p.expire()
	space := p.target.space()
	p.refused(copying.ErrNotEmpty)
	p.target.execute("DELETE FROM spaces")
	p.refused(copying.ErrNotEmpty) // its keys have been given to something
	equal(p.t, "key", space.ID, 1)
}

func transferTargetInUse(p *pair) {
	lock := must(p.target.LockUse(p.ctx))(p.t)
	p.refused(sqlrepo.ErrLocked)
	p.ok(lock.Release())
	p.transferred()
}

func transferSame(p *pair) {
	p.scenario()
	p.expire()
	before := p.dump()
	_, err := p.TransferTo(p.ctx, sqlrepo.New(p.db), copying.Transfer{})
	p.fails(err, copying.ErrSameDatabase)
	equal(p.t, "dump", p.dump(), before)
}

// transferStopped stops at each step: where a table is copied, and where it is read back.
func transferStopped(p *pair) {
	p.scenario()
	p.expire()
	steps := 0
	count := func(copying.TransferProgress) { steps++ }
	p.ok(second(p.TransferTo(p.ctx, p.target.Repository, copying.Transfer{Progress: count})))

	for at := range steps {
		p.target.clear()
		ctx, cancel := context.WithCancelCause(p.ctx)

		step := 0
		_, err := p.TransferTo(ctx, p.target.Repository, copying.Transfer{Progress: func(copying.TransferProgress) {
			if step == at {
				cancel(errStop)
			}
			step++
		}})
		cancel(nil)
		p.fails(err, errStop)
		equal(p.t, "target", p.target.dump(), "")
	}

	equal(p.t, "steps", steps > 8, true)
	p.transferred()
}

func second[T any](_ T, err error) error { return err }

func transferNotReady(p *pair) {
	p.scenario()
	p.expire()
	_, err := p.TransferTo(p.ctx, p.target.Repository, copying.Transfer{Ready: func(ctx context.Context) error {
		for _, f := range []*fixture{p.fixture, p.target} {
			if _, err := f.LockUse(ctx); !errors.Is(err, sqlrepo.ErrLocked) {
				f.t.Errorf("not locked: %v", err)
			}
		}
		return errStop
	}})
	p.fails(err, errStop)
	equal(p.t, "target", p.target.dump(), "")
}
