package main

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// filling is what was put into a database to be looked up later.
type filling struct {
	space int64
	nodes int
	// sample has digests of nodes from all shards.
	sample []sqlrepo.Digest
}

// fill seals shards of random nodes, as packing does.
func (x lookups) fill(ctx context.Context, repo *sqlrepo.Repository, seed uint64) (*filling, error) {
	space, upload, err := x.plan(ctx, repo)
	if err != nil {
		return nil, err
	}

	f := &filling{space: space}
	random := newDigests(seed)
	for revision := range int64(x.shards()) {
		nodes := random.nodes(x.shardNodes)
		if err := sealNext(ctx, repo, upload, nodes, sqlrepo.SpaceAt{Space: space, Revision: revision}); err != nil {
			return nil, err
		}
		x.sample(f, nodes)
	}

	// All shards together may give a few more than are wanted.
	f.sample = f.sample[:x.digests]
	return f, nil
}

// sample counts the nodes of a shard and takes the digests of some of them, evenly over all shards.
func (x lookups) sample(f *filling, nodes []sqlrepo.Node) {
	every := max(1, x.nodes/x.digests-1)
	for i := (every - f.nodes%every) % every; i < len(nodes); i += every {
		f.sample = append(f.sample, nodes[i].Digest)
	}
	f.nodes += len(nodes)
}

func (x lookups) shards() int { return (x.nodes + x.shardNodes - 1) / x.shardNodes }

// plan makes an upload whose shards are all yet to be packed.
func (x lookups) plan(ctx context.Context, repo *sqlrepo.Repository) (space, upload int64, err error) {
	registered, src, err := register(ctx, repo, "/bench")
	if err != nil {
		return 0, 0, err
	}

	opened, err := repo.OpenUpload(ctx, src.ID, sqlrepo.Upload{Profile: "unixfs-v1-2025", SourceOptions: sourceOptions()})
	if err != nil {
		return 0, 0, err
	}

	stage, err := repo.ClaimStage(ctx, fillClaim(), opened.Upload.ID)
	if err != nil {
		return 0, 0, err
	}

	planned := make([]sqlrepo.PlannedShard, x.shards())
	for i := range planned {
		planned[i].Shard = sqlrepo.Shard{Ordinal: int64(i), Kind: sqlrepo.DataShard, Chunks: int64(x.shardNodes)}
	}
	if err := repo.SavePlan(ctx, stage, planned); err != nil {
		return 0, 0, err
	}

	_, err = conformance.Reach(ctx, repo, fillClaim(), stage, sqlrepo.Packing)
	return registered.ID, opened.Upload.ID, err
}

func fillClaim() sqlrepo.Claim { return sqlrepo.Claim{Worker: "bench", Term: time.Hour} }

func sealNext(ctx context.Context, repo *sqlrepo.Repository, upload int64, nodes []sqlrepo.Node,
	at sqlrepo.SpaceAt) error {
	shard, err := repo.ClaimShard(ctx, fillClaim(), upload, math.MaxInt64)
	if err != nil {
		return err
	}
	shard.State = sqlrepo.ShardPacked
	return repo.Seal(ctx, at, &sqlrepo.PackedShard{Shard: shard, Nodes: nodes}, nil)
}

// digests are random digests, the same for the same seed.
type digests struct{ random *rand.ChaCha8 }

func newDigests(seed uint64) digests {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return digests{rand.NewChaCha8(key)}
}

func (d digests) next() (digest sqlrepo.Digest) {
	_, _ = d.random.Read(digest[:]) // never fails
	return digest
}

func (d digests) nodes(n int) []sqlrepo.Node {
	nodes := make([]sqlrepo.Node, n)
	for i := range nodes {
		nodes[i] = sqlrepo.Node{Position: int32(i), Length: 1, Codec: 0x55, Digest: d.next()}
	}
	return nodes
}

// questions returns sets of digests: the repository holds all, half or none of each.
func (f *filling) questions(seed uint64) []question {
	n := len(f.sample)
	absent := make([]sqlrepo.Digest, n)
	random := newDigests(^seed)
	for i := range absent {
		absent[i] = random.next()
	}

	half := append(append([]sqlrepo.Digest{}, f.sample[:n/2]...), absent[n/2:]...)
	return []question{
		{what: "all", digests: f.sample, held: n}, {what: "half", digests: half, held: n / 2},
		{what: "none", digests: absent},
	}
}
