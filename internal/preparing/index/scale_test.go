//go:build long

package index_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/heap"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// nodes is the number of indexed blocks. To index ten million:
// "go test -tags long -run Flat ./internal/preparing/index -nodes 10000000 -timeout 1h".
var nodes = flag.Int("nodes", 78_000, "how many blocks are indexed")

// perShard is the number of nodes of a full shard.
const perShard = sqlrepo.DefaultIndexSlices - 1

// fill makes a linked upload with full shards.
func fill(t *testing.T, repo *sqlrepo.Repository) (stage sqlrepo.Stage, space int64) {
	t.Helper()
	ctx := t.Context()
	added, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 1 << 28})
	must(t, err)

	source, err := repo.AddSource(ctx, sqlrepo.Source{Space: added.ID, Name: "s", Path: []byte("/s"),
		SourceOptions: sqlrepo.SourceOptions{SymlinkPolicy: "skip"}})
	must(t, err)

	opened, err := repo.OpenUpload(ctx, source.ID, sqlrepo.Upload{Profile: "p", ShardSize: 1 << 28,
		SourceOptions: source.SourceOptions})
	must(t, err)

	claim := sqlrepo.Claim{Worker: "test", Term: time.Hour}
	stage, err = repo.ClaimStage(ctx, claim, opened.Upload.ID)
	must(t, err)

	for i := range *nodes / perShard {
		packed := fullShard(i)
		held, err := repo.Held(ctx, sqlrepo.Scope{Space: added.ID}, nil)
		must(t, err)
		at := sqlrepo.SpaceAt{Space: added.ID, Revision: held.Revision}
		batch := &sqlrepo.LinkBatch{Stage: stage, Shard: packed}
		must(t, repo.Seal(ctx, at, batch, func(context.Context) error { return nil }))
	}

	// Many rows were added at once, so the engine needs new statistics.
	must(t, repo.Analyze(ctx))

	root := sqlrepo.CID{Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")}
	stage, err = conformance.Reach(ctx, repo, claim, stage, sqlrepo.Linking)
	must(t, err)

	stage, err = repo.BeginIndexing(ctx, stage, root, sqlrepo.Counts{})
	must(t, err)
	return stage, added.ID
}

// fullShard returns a shard with as many small blocks as fit an index.
func fullShard(ordinal int) *sqlrepo.PackedShard {
	packed := &sqlrepo.PackedShard{Nodes: make([]sqlrepo.Node, perShard)}
	digest := sha256.Sum256(fmt.Appendf(nil, "shard %d", ordinal))
	packed.Shard = sqlrepo.Shard{Ordinal: int64(ordinal), State: sqlrepo.ShardPacked, Size: 1 << 28, Digest: digest[:]}
	for i := range packed.Nodes {
		packed.Nodes[i] = sqlrepo.Node{Position: int32(1000*i + 50), Length: 900, Codec: cid.DagProtobuf,
			Digest: sha256.Sum256(fmt.Appendf(nil, "block %d of %d", i, ordinal))}
	}
	return packed
}

// maxHeap bounds the heap of indexing, including garbage, however many blocks there are.
const maxHeap = 100 << 20

// TestIndexingStaysFlat makes one index after the other and watches the heap.
func TestIndexingStaysFlat(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo := sqlrepo.New(db)
		stage, space := fill(t, repo)
		var made atomic.Int64
		indexer := index.Indexer{
			Repo: repo, Store: store.NewNone(t.TempDir()), Owner: "test", Space: space, Alive: func(n int64) { made.Add(n) },
		}

		began := time.Now()
		peak := heap.PeakWhile(func() {
			_, err := indexer.Run(t.Context(), stage)
			must(t, err)
		}).All

		t.Logf("%d blocks in %s, heap at most %d MiB", made.Load(), time.Since(began), peak>>20)
		if want := int64(*nodes / perShard * perShard); made.Load() != want {
			t.Errorf("%d blocks were indexed, want %d", made.Load(), want)
		}

		if peak > maxHeap {
			t.Errorf("the heap grew to %d bytes, more than %d", peak, maxHeap)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
