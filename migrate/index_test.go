//go:build long

package migrate

import (
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// fillVersion3 leaves uploads that are complete, removed and under way, with a packed shard each.
func fillVersion3(t *testing.T, db *dialect.DB) {
	t.Helper()
	insert(t, db, "INSERT INTO spaces (id, did, name, shard_size, created_at) VALUES (1, 'did:key:a', 'a', 1, 1)")
	insert(t, db, `INSERT INTO sources (id, space, name, path, excludes, symlinks, created_at)
		VALUES (1, 1, 'a', ?, ?, 'keep', 1)`, []byte("/a"), []byte{})
	for id, state := range []int64{3, 4, 5, 8} {
		insert(t, db, `INSERT INTO uploads (id, source, state, profile, shard_size, excludes, symlinks, token, files,
			directories, links, bytes, started_at) VALUES (?, 1, ?, 'profile', 1, ?, 'keep', 0, 1, 2, 3, 4, 5)`,
			int64(id+1), state, []byte{})
		insert(t, db, `INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, content,
			nodes) VALUES (?, ?, 1, 1, 3, 0, 1, 2, 3, 4, 5)`, int64(id+1), int64(id+1))
	}
}

type recipe struct {
	ID, State int64
	Layout    string
	Slices    int64
	Piece     int64
}

func TestIndexesComeWithTheirVersion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 3)))
		db := openDB(t, settings)
		fillVersion3(t, db)
		m := migrator(settings, firstEmbedded(t, 4))
		const counter = "SELECT value FROM counters WHERE name = 'indexes'"
		for range 2 {
			mustUp(t, m)
			requireEqual(t, selectAll[recipe](t, db, `SELECT id, state, index_layout AS layout, index_slices AS slices,
				piece_cid AS piece FROM uploads ORDER BY id`),
				[]recipe{{1, 3, "", 26000, 0}, {2, 4, "", 26000, 0}, {3, 5, "", 26000, 0}, {4, 8, "", 26000, 0}})
			requireEqual(t, selectAll[int64](t, db, counter), []int64{0})
			requireEqual(t, selectAll[int64](t, db, "SELECT COUNT(*) FROM shards WHERE blob_index IS NULL AND piece IS NULL"),
				[]int64{4})
			if result, err := m.Down(t.Context(), 1); err != nil || result.To != 3 {
				t.Fatalf("down: %+v, %v", result, err)
			}
			requireEqual(t, len(selectAll[int64](t, db, counter)), 0)
		}
	})
}

// TestIndexingGoesWithItsVersion has uploads that wait to be indexed, or are being indexed, in rows that go back.
func TestIndexingGoesWithItsVersion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 3)))
		db := openDB(t, settings)
		fillVersion3(t, db)
		m := migrator(settings, firstEmbedded(t, 4))
		mustUp(t, m)
		insert(t, db, `UPDATE uploads SET state = 9, token = 7, worker = 'a', lease_ends = 1, linked_entries = 3, root_cid = ?
			WHERE id = 2`, []byte{1})
		insert(t, db, `INSERT INTO entries (id, mtime_ns, size, upload, permissions, kind, state, path)
			SELECT id, 1, 1, id, 1, 1, 0, ? FROM uploads`, []byte("a"))
		insert(t, db, "INSERT INTO roots (entry, dag_size, cid) SELECT id, 1, ? FROM entries", []byte{1})
		insert(t, db, `INSERT INTO indexes (id, upload, ordinal, state, layout, root_cid, shards, slices, size, digest,
			location)
			VALUES (1, 3, 0, 3, 'storacha', ?, 1, 2, 3, ?, 'file:///a')`, []byte{1}, []byte{2})
		insert(t, db, "UPDATE shards SET blob_index = 1 WHERE id = 3")
		m.dropData = false
		if _, err := m.Down(t.Context(), 1); !errors.Is(err, ErrHoldsData) {
			t.Errorf("an index: %v", err)
		}
		m.dropData = true
		if _, err := m.Down(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		requireEqual(t, selectAll[unit](t, db, allUploads), []unit{{1, 3, 0}, {2, 4, 0}, {3, 5, 0}, {4, 8, 0}})
		requireEqual(t, selectAll[int64](t, db, "SELECT COUNT(*) FROM uploads WHERE root_cid IS NOT NULL"), []int64{0})
		requireEqual(t, selectAll[int64](t, db, "SELECT linked_entries FROM uploads WHERE id = 2"), []int64{0})
		requireEqual(t, selectAll[int64](t, db, "SELECT entry FROM roots ORDER BY entry"), []int64{1, 3, 4})
		mustUp(t, m)
	})
}
