package migrate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// wholeNode is a node as version 2 has it.
type wholeNode struct {
	Shard, Position, Length, Codec int64
	Digest                         []byte
}

// wholeNodes are nodes in whose digests each byte has each value, and all orders are mixed.
func wholeNodes() (nodes []wholeNode) {
	add := func(digest []byte) {
		n := int64(len(nodes))
		nodes = append(nodes, wholeNode{Shard: 1 + n%4, Position: n, Length: n, Codec: n % 256, Digest: digest})
	}
	for value := range 256 {
		digest := make([]byte, 32)
		for i := range digest {
			digest[i] = byte(value + 37*i)
		}
		add(slices.Repeat([]byte{byte(value)}, 32))
		add(digest)
	}
	for range 500 {
		digest := make([]byte, 32)
		for i := range digest {
			digest[i] = byte(rand.Uint32())
		}
		add(digest)
	}
	return nodes
}

func insert(t *testing.T, db *dialect.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Writer.ExecContext(t.Context(), db.Writer.Rebind(query), args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fillVersion2 leaves an upload and a shard in every state, and the nodes.
func fillVersion2(t *testing.T, db *dialect.DB, nodes []wholeNode) {
	t.Helper()
	insert(t, db, "INSERT INTO spaces (id, did, name, shard_size, created_at) VALUES (1, 'did:key:a', 'a', 1, 1)")
	insert(t, db, `INSERT INTO sources (id, space, name, path, excludes, symlinks, created_at)
		VALUES (1, 1, 'a', ?, ?, 'keep', 1)`, []byte("/a"), []byte{})
	for state := int64(1); state <= 5; state++ {
		insert(t, db, `INSERT INTO uploads (id, source, state, profile, shard_size, excludes, symlinks, token, files,
			directories, links, bytes, started_at) VALUES (?, 1, ?, 'profile', 1, ?, 'keep', ?, 1, 2, 3, 4, 5)`,
			state, state, []byte{}, 10*state)
	}
	for state := int64(1); state <= 4; state++ {
		insert(t, db, `INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, content,
			nodes) VALUES (?, 1, ?, 1, ?, ?, 1, 2, 3, 4, 5)`, state, state, state, 10*(state%3))
	}
	for _, n := range nodes {
		insert(t, db, "INSERT INTO nodes (shard, position, length, codec, digest) VALUES (?, ?, ?, ?, ?)",
			n.Shard, n.Position, n.Length, n.Codec, n.Digest)
	}
}

const (
	allWhole   = "SELECT shard, position, length, codec, digest FROM nodes ORDER BY position"
	allSplit   = "SELECT shard, position, length, codec, prefix, suffix FROM nodes ORDER BY position"
	allUploads = "SELECT id, state, token FROM uploads ORDER BY id"
	allShards  = "SELECT id, state, token FROM shards ORDER BY id"
)

func selectAll[T any](t *testing.T, db *dialect.DB, query string) (rows []T) {
	t.Helper()
	if err := db.Writer.SelectContext(t.Context(), &rows, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows
}
