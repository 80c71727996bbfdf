package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// scaleQuery is something that runs do all the time.
type scaleQuery struct {
	name string
	run  func(g *generated, ctx context.Context) (time.Duration, error)
}

func scaleQueries() []scaleQuery {
	return []scaleQuery{
		{"claim a shard, 20 times", timing((*generated).claim)},
		{fmt.Sprintf("look up %d blocks", 2*sampled), timing((*generated).lookUp)},
		{"seal a shard", (*generated).seal},
		{"read a directory", timing((*generated).page)},
		{"read 1,500 entries to link", timing((*generated).linkables)},
		{"look for files to plan, per 10,000", (*generated).toPlan},
		{"list what was left out", timing((*generated).leftOut)},
		{"status", timing((*generated).status)},
		{"status of a worker", timing((*generated).workerStatus)},
		{"gc: 20 runs of entries", timing((*generated).runs)},
		{"gc: holders of 10,000 blocks", timing((*generated).holders)},
		{"gc: files still named", timing((*generated).named)},
	}
}

// timing measures all of a query.
func timing(query func(*generated, context.Context) error) func(*generated, context.Context) (time.Duration, error) {
	return func(g *generated, ctx context.Context) (time.Duration, error) {
		began := time.Now()
		err := query(g, ctx)
		return time.Since(began), err
	}
}

func (g *generated) claim(ctx context.Context) error {
	for range 20 {
		shard, err := g.repo.ClaimShard(ctx, fillClaim(), g.Packing, math.MaxInt64)
		if err != nil {
			return err
		}
		if err := g.repo.Release(ctx, shard); err != nil {
			return err
		}
	}
	return nil
}

func (g *generated) lookUp(ctx context.Context) error {
	held, err := g.repo.Held(ctx, sqlrepo.Scope{Space: g.Space}, g.Sample)
	if err == nil && len(held.Digests) != sampled {
		err = fmt.Errorf("%w: %d blocks are held, not %d", errWrong, len(held.Digests), sampled)
	}
	return err
}

func (g *generated) seal(ctx context.Context) (time.Duration, error) {
	held, err := g.repo.Held(ctx, sqlrepo.Scope{Space: g.Space}, nil)
	if err != nil {
		return 0, err
	}
	nodes := g.random.nodes(shardBlocks)
	began := time.Now()
	err = sealNext(ctx, g.repo, g.Packing, nodes, sqlrepo.SpaceAt{Space: g.Space, Revision: held.Revision})
	return time.Since(began), err
}

func (g *generated) page(ctx context.Context) error {
	middle := g.Entries / uploads / inDirectory / 2 * inDirectory
	return take(g.repo.EntriesBelow(ctx, g.First, entryPath(middle)), inDirectory)
}

func (g *generated) linkables(ctx context.Context) error {
	return take(g.repo.Linkables(ctx, g.First), 1500)
}

// toPlan goes through an upload of which nine tenths are planned.
func (g *generated) toPlan(ctx context.Context) (time.Duration, error) {
	began, files := time.Now(), 0
	for _, err := range g.repo.Unplanned(ctx, g.Packing, sqlrepo.PlanTail{NextOrdinal: 1}) {
		if err != nil {
			return 0, err
		}
		files++
	}
	if files != g.Unplanned {
		return 0, fmt.Errorf("%w: %d files are not planned, not %d", errWrong, files, g.Unplanned)
	}
	return time.Since(began) * 10_000 / time.Duration(g.Entries/uploads), nil
}

func (g *generated) leftOut(ctx context.Context) error {
	return take(g.repo.LeftOut(ctx, g.Packing), 1)
}

func (g *generated) status(ctx context.Context) error {
	if _, err := g.repo.OpenUploads(ctx, sqlrepo.OpenFilter{}); err != nil {
		return err
	}
	if _, err := g.repo.ShardsUnderWay(ctx, g.Packing); err != nil {
		return err
	}
	_, err := g.repo.Sendings(ctx, nil)
	return err
}

func (g *generated) workerStatus(ctx context.Context) error {
	_, err := g.repo.OpenUploads(ctx, sqlrepo.OpenFilter{Spaces: []int64{g.Space}, Uploads: []int64{g.Packing}})
	return err
}

func (g *generated) runs(ctx context.Context) error {
	return take(removal.New(g.repo).EntryRuns(ctx, g.First, g.Sharers), 20)
}

func (g *generated) holders(ctx context.Context) error {
	_, err := g.repo.HoldersAmong(ctx, sqlrepo.Scope{Space: g.Space}, g.Sample[:10_000], map[int64]struct{}{})
	return err
}

func (g *generated) named(ctx context.Context) error {
	_, err := g.repo.StillNamed(ctx, "", g.Sample[:500])
	return err
}

// take reads up to n items.
func take[T any](items iter.Seq2[T, error], n int) error {
	count := 0
	for _, err := range items {
		if err != nil {
			return err
		}
		if count++; count == n {
			break
		}
	}
	return nil
}
