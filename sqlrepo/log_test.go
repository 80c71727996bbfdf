//go:build long

package sqlrepo_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var logNodes = flag.Int("sqlrepo.nodes", 200_000, "how many nodes are recorded while the log of changes is watched")

// mostLog is what SQLite's log of changes must stay below.
const mostLog = 512 << 20

// TestTheLogStaysShortWhileNodesAreRecorded has somebody read at any time, each for four shards, from before the one
// that read before ends.
func TestTheLogStaysShortWhileNodesAreRecorded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guppy.db")
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(file)})
	repo := sqlrepo.New(db)
	stage, random, largest := beginStage(t, repo), rand.NewChaCha8([32]byte{1}), int64(0)
	reading := read(t, db)
	const perShard = 25_000
	for n := range int64(*logNodes / perShard) {
		nodes := make([]sqlrepo.Node, perShard)
		for i := range nodes {
			nodes[i] = sqlrepo.Node{Position: int32(i), Length: 1, Codec: 0x55}
			_, _ = random.Read(nodes[i].Digest[:]) // it never fails
		}
		shard := sqlrepo.PackedShard{Nodes: nodes, Shard: sqlrepo.Shard{Ordinal: n, State: sqlrepo.ShardPacked}}
		batch := &sqlrepo.LinkBatch{Stage: stage, Shard: &shard}
		if err := repo.Seal(t.Context(), sqlrepo.SpaceAt{Space: 1, Revision: n}, batch, nil); err != nil {
			t.Fatal(err)
		}
		if n%4 == 3 {
			next := read(t, db)
			reading()
			reading = next
		}
		info, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	reading()
	t.Logf("%d nodes; the log grew to %d MiB", *logNodes, largest>>20)
	if largest > mostLog {
		t.Errorf("the log grew to %d MiB", largest>>20)
	}
}

// read begins a reading transaction, which lasts until end is called.
func read(t *testing.T, db *dialect.DB) (end func()) {
	t.Helper()
	tx, err := db.Reader.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.Get(&n, "SELECT COUNT(*) FROM shards"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}
