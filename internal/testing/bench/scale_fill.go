package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// generated is a repository that was filled. A tenth of its entries are those of the first upload, which has all nodes.
// As many are in each of the snapshots behind it, which share all but a hundredth with the first. The last tenth is in
// an upload whose shards are being packed.
type generated struct {
	repo *sqlrepo.Repository
	// random has digests that are in no repository yet.
	random digests

	// The rest is kept in a file beside the database, so that a later run can use it again.
	Entries               int
	Space, First, Packing int64
	// Unplanned is how many files of Packing are not planned.
	Unplanned int
	Sharers   []int64
	// Sample has digests of nodes from all shards, and then as many of none.
	Sample []sqlrepo.Digest
}

const (
	nodesPerEntry = 10
	snapshots     = 8
	uploads       = snapshots + 2
	// shardBlocks is how many blocks a shard has at most.
	shardBlocks = 25_999
	// sampled is how many blocks that are held are looked up, and how many others.
	sampled = shardBlocks / 2
	// openSegments is how many segments a shard has that is yet to be packed.
	openSegments = 25
	// inDirectory is how many entries there are in a directory, with itself.
	inDirectory = 1000
	// fillBatch is how many rows a transaction adds, unless they are nodes.
	fillBatch = 20_000
	// changedEvery is one of how many entries that a snapshot does not share with the first.
	changedEvery = 100
	leastEntries = uploads * 2 * inDirectory
)

// generate fills an empty repository.
func generate(ctx context.Context, db *dialect.DB, entries int, seed uint64) (*generated, error) {
	g := &generated{repo: sqlrepo.New(db), Entries: entries, random: newDigests(seed)}
	each := entries / uploads
	space, err := g.repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkScale", Name: "scale"})
	if err != nil {
		return nil, err
	}
	g.Space = space.ID

	if err := g.fillFirst(ctx, db, each); err != nil {
		return nil, fmt.Errorf("first upload: %w", err)
	}
	for i := range snapshots {
		stage, err := g.begin(ctx, fmt.Sprintf("snapshot %d", i))
		if err != nil {
			return nil, err
		}
		g.Sharers = append(g.Sharers, stage.Upload.ID)
		err = g.scan(ctx, stage, each, func(i int) int64 {
			if i%changedEvery == 1 {
				return 0
			}
			return int64(i) + 1 // keys are given in order, from 1
		})
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	if err := g.fillPacking(ctx, each); err != nil {
		return nil, fmt.Errorf("upload that is packed: %w", err)
	}
	return g, g.repo.Analyze(ctx)
}

// begin adds a source and claims the scan of its first upload.
func (g *generated) begin(ctx context.Context, name string) (sqlrepo.Stage, error) {
	source, err := g.repo.AddSource(ctx, sqlrepo.Source{
		Space: g.Space, Name: name, Path: []byte("/" + name), SourceOptions: sourceOptions(),
	})
	if err != nil {
		return sqlrepo.Stage{}, err
	}
	opened, err := g.repo.OpenUpload(ctx, source.ID, sqlrepo.Upload{
		Profile: "unixfs-v1-2025", ShardSize: 1 << 28, SourceOptions: sourceOptions(),
	})
	if err != nil {
		return sqlrepo.Stage{}, err
	}
	return g.repo.ClaimStage(ctx, fillClaim(), opened.Upload.ID)
}

// scan adds entries: directories of files. origin returns the entry whose content the i-th entry shares, or 0.
func (g *generated) scan(ctx context.Context, stage sqlrepo.Stage, n int, origin func(i int) int64) error {
	for from := 0; from < n; from += fillBatch {
		batch := sqlrepo.ScanBatch{Added: make([]sqlrepo.Entry, min(fillBatch, n-from))}
		for at := range batch.Added {
			i, entry := from+at, &batch.Added[at]
			entry.Path, entry.ModTime, entry.Mode = entryPath(i), int64(i)*1e9, 0o644
			if entry.Kind = sqlrepo.Directory; i%inDirectory > 0 {
				entry.Kind, entry.Size, entry.Origin, entry.Inode = sqlrepo.File, int64(i%4096), origin(i), int64(i)
			}
		}
		if err := g.repo.SaveScan(ctx, stage, batch); err != nil {
			return err
		}
	}
	return nil
}

// entryPath returns the path of the i-th entry of an upload in canonical order.
func entryPath(i int) sqlrepo.Path {
	dir := sqlrepo.Path(fmt.Sprintf("directory %06d", i/inDirectory))
	if i%inDirectory == 0 {
		return dir
	}
	return dir.Join(fmt.Sprintf("file %03d of a usual name.txt", i%inDirectory))
}

func own(int) int64 { return 0 }

// fillFirst makes an upload that is linked, with all nodes.
func (g *generated) fillFirst(ctx context.Context, db *dialect.DB, n int) error {
	stage, err := g.begin(ctx, "first")
	if err != nil {
		return err
	}
	if err := g.scan(ctx, stage, n, own); err != nil {
		return err
	}

	nodes := g.Entries * nodesPerEntry
	shards := (nodes + shardBlocks - 1) / shardBlocks
	plan := cutEvenly(n, shards)
	if stage, err = g.savePlan(ctx, stage, plan); err != nil {
		return err
	}
	if err := g.fillNodes(ctx, db, plan, nodes); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	for revision := range int64(shards) {
		at := sqlrepo.SpaceAt{Space: g.Space, Revision: revision}
		if err := sealNext(ctx, g.repo, stage.Upload.ID, nil, at); err != nil {
			return err
		}
	}

	if stage, err = g.repo.ClaimStage(ctx, fillClaim(), stage.Upload.ID); err != nil {
		return err
	}
	if stage, err = g.repo.Advance(ctx, stage, sqlrepo.Linking); err != nil {
		return err
	}
	g.First = stage.Upload.ID
	return g.link(ctx, stage, n)
}

// cutEvenly plans a segment of each file, evenly over shards. The keys of the entries begin with 1.
func cutEvenly(n, shards int) []sqlrepo.PlannedShard {
	plan := make([]sqlrepo.PlannedShard, shards)
	for i := range n {
		planned := &plan[i*shards/n]
		if i%inDirectory > 0 {
			planned.Segments = append(planned.Segments, sqlrepo.Segment{
				Entry: int64(i) + 1, Length: int64(i % 4096), Chunk: int64(len(planned.Segments)),
			})
		}
	}
	for i := range plan {
		plan[i].Shard.Ordinal, plan[i].Shard.Chunks = int64(i), shardBlocks
	}
	return plan
}

// savePlan records a plan, and lets the upload be packed.
func (g *generated) savePlan(ctx context.Context, stage sqlrepo.Stage,
	plan []sqlrepo.PlannedShard) (sqlrepo.Stage, error) {
	stage, err := g.repo.Advance(ctx, stage, sqlrepo.Planning)
	for len(plan) > 0 && err == nil {
		n, segments := 0, 0
		for n < len(plan) && segments < fillBatch {
			segments += len(plan[n].Segments)
			n++
		}
		err = g.repo.SavePlan(ctx, stage, plan[:n])
		plan = plan[n:]
	}
	if err != nil {
		return stage, err
	}
	return conformance.Reach(ctx, g.repo, fillClaim(), stage, sqlrepo.Packing)
}

// fillNodes adds nodes to the planned shards, which are sealed without any afterwards.
func (g *generated) fillNodes(ctx context.Context, db *dialect.DB, plan []sqlrepo.PlannedShard, n int) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Release()) }()

	every, at := max(1, n/sampled), 0
	err = db.WithoutIndexes(ctx, tx, "nodes", func() error {
		for _, planned := range plan {
			err := db.BulkInsert(ctx, tx, "nodes", nodeColumns, min(shardBlocks, n-at), func(i int) []any {
				digest := g.random.next()
				if at%every == 0 && len(g.Sample) < sampled {
					g.Sample = append(g.Sample, digest)
				}
				at++
				return []any{prefixOf(digest), planned.Shard.ID, int64(i), int64(1), int64(0x55), digest[8:]}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}

	for range sampled {
		g.Sample = append(g.Sample, g.random.next())
	}
	return tx.Commit(ctx)
}

// link records a root for each entry of the first upload.
func (g *generated) link(ctx context.Context, stage sqlrepo.Stage, n int) error {
	root := sqlrepo.CID{Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")}
	for from := 0; from < n; from += fillBatch {
		batch := sqlrepo.LinkBatch{Stage: stage, Roots: make([]sqlrepo.Root, min(fillBatch, n-from))}
		for i := range batch.Roots {
			batch.Roots[i] = sqlrepo.Root{Entry: int64(from+i) + 1, CID: root, DAGSize: 1}
		}
		if err := g.repo.SaveLinks(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// directories returns how many of the entries of an upload are directories, of those from one to another.
func directories(from, to int) int {
	below := func(n int) int { return (n + inDirectory - 1) / inDirectory }
	return below(to) - below(from)
}

// fillPacking makes an upload with shards that wait to be packed, a few entries that failed, and a tenth that is not
// planned yet.
func (g *generated) fillPacking(ctx context.Context, n int) error {
	stage, err := g.begin(ctx, "packing")
	if err != nil {
		return err
	}
	if err := g.scan(ctx, stage, n, own); err != nil {
		return err
	}

	failed := sqlrepo.Entry{Path: "failed", State: sqlrepo.Failed}
	failed.Kind = sqlrepo.File
	if err := g.repo.SaveScan(ctx, stage, sqlrepo.ScanBatch{Added: []sqlrepo.Entry{failed}}); err != nil {
		return err
	}

	before := int64(n) * (uploads - 1)
	planned := n / 10 * 9
	g.Unplanned = n - planned - directories(planned, n)
	plan := cutEvenly(planned, planned/openSegments)
	for _, planned := range plan {
		for i := range planned.Segments {
			planned.Segments[i].Entry += before
		}
	}
	stage, err = g.savePlan(ctx, stage, plan)
	g.Packing = stage.Upload.ID
	return err
}
