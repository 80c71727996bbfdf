//go:build long

package migrate

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestLeasesKeepWhatIsThere(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 2)))
		nodes := wholeNodes()
		db := openDB(t, settings)
		fillVersion2(t, db, nodes)
		m := migrator(settings, firstEmbedded(t, 3))
		var want []splitNode
		for _, node := range nodes {
			want = append(want, node.split())
		}
		for range 2 {
			mustUp(t, m)
			requireEqual(t, selectAll[splitNode](t, db, allSplit), want)
			requireEqual(t, selectAll[int64](t, db, "SELECT revision FROM spaces"), []int64{1})
			requireUnits(t, db)
			if result, err := m.Down(t.Context(), 1); err != nil || result.To != 2 {
				t.Fatalf("down: %+v, %v", result, err)
			}
			requireEqual(t, selectAll[wholeNode](t, db, allWhole), nodes)
			requireUnits(t, db)
		}
	})
}

// TestCondemnedShardsGoWithTheirVersion has a shard whose file is gone, while its rows are not.
func TestCondemnedShardsGoWithTheirVersion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 2)))
		db, nodes := openDB(t, settings), wholeNodes()
		fillVersion2(t, db, nodes)
		m := migrator(settings, firstEmbedded(t, 3))
		mustUp(t, m)
		insert(t, db, "UPDATE shards SET state = 5 WHERE id = 3")
		insert(t, db, "INSERT INTO segments (entry, file_offset, shard, chunk, length) VALUES (1, 0, 3, 0, 1)")
		if _, err := m.Down(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(nodes, func(n wholeNode) bool { return n.Shard == 3 })
		requireEqual(t, selectAll[wholeNode](t, db, allWhole), left)
		requireEqual(t, selectAll[unit](t, db, allShards), []unit{{1, 1, 0}, {2, 1, 0}, {4, 4, 0}})
		requireEqual(t, selectAll[int64](t, db, "SELECT COUNT(*) FROM segments"), []int64{0})
	})
}

// TestSharedUploadsStayWhatTheyAre has incomplete and removed uploads whose content later uploads share.
func TestSharedUploadsStayWhatTheyAre(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 2)))
		db := openDB(t, settings)
		fillVersion2(t, db, nil)
		m := migrator(settings, firstEmbedded(t, 3))
		mustUp(t, m)
		insert(t, db, "UPDATE uploads SET state = id + 5 WHERE id IN (2, 3)")
		insert(t, db, `INSERT INTO entries (id, mtime_ns, size, upload, permissions, kind, state, path)
			SELECT id, 1, 1, id, 1, 1, 0, ? FROM uploads`, []byte("a"))
		insert(t, db, "INSERT INTO roots (entry, dag_size, cid) SELECT id, 1, ? FROM entries", []byte{1})
		if _, err := m.Down(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		mustUp(t, m)
		requireEqual(t, selectAll[unit](t, db, allUploads), []unit{{1, 1, 0}, {2, 7, 0}, {3, 8, 0}, {4, 1, 0}, {5, 5, 0}})
		requireEqual(t, selectAll[int64](t, db, "SELECT entry FROM roots ORDER BY entry"), []int64{2, 3, 5})
	})
}

// TestLeasesGoWithTheirVersion has leases of every kind in the rows that go back to version 2.
func TestLeasesGoWithTheirVersion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 2)))
		db := openDB(t, settings)
		fillVersion2(t, db, nil)
		m := migrator(settings, firstEmbedded(t, 3))
		mustUp(t, m)
		for id, state := range map[int]int{1: 6, 2: 2, 3: 3, 4: 4} {
			insert(t, db, "UPDATE uploads SET state = ?, token = 7, worker = 'a', lease_ends = 1, error = 'x' WHERE id = ?",
				state, id)
		}
		insert(t, db, "UPDATE shards SET token = 7, set_aside_at = 1, retry_at = 2")
		if _, err := m.Down(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		requireUnits(t, db)
		mustUp(t, m)
		requireUnits(t, db)
	})
}

// requireUnits demands that nobody has an upload or a shard, and that those which are not done are in the state with
// which the work on them begins.
func requireUnits(t *testing.T, db *dialect.DB) {
	t.Helper()
	requireEqual(t, selectAll[unit](t, db, allUploads), []unit{{1, 1, 0}, {2, 1, 0}, {3, 1, 0}, {4, 1, 0}, {5, 5, 0}})
	requireEqual(t, selectAll[unit](t, db, allShards), []unit{{1, 1, 0}, {2, 1, 0}, {3, 3, 0}, {4, 4, 0}})
}

// unit is the state and the token of an upload or a shard.
type unit struct{ ID, State, Token int64 }

// splitNode is a node as version 3 has it.
type splitNode struct {
	Shard, Position, Length, Codec, Prefix int64
	Suffix                                 []byte
}

func (n wholeNode) split() splitNode {
	return splitNode{n.Shard, n.Position, n.Length, n.Codec, int64(binary.BigEndian.Uint64(n.Digest)), n.Digest[8:]}
}
