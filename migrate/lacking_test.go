package migrate

import (
	"crypto/sha256"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// fillVersion8 adds replicas to what fillVersion4 has left: one of a store, one that has a copy of each file of another
// one, and one of a space.
func fillVersion8(t *testing.T, db *dialect.DB) {
	t.Helper()
	for _, pair := range [][2]string{{"DIRECTORY", "BUCKET"}, {"OTHER", "DIRECTORY"}} {
		insert(t, db, "INSERT INTO replicas (store, origin) VALUES (?, ?)", pair[0], pair[1])
	}
	for _, store := range []string{"DIRECTORY", "OTHER"} {
		insert(t, db, "INSERT INTO space_replicas (space, store) VALUES (1, ?)", store)
	}
	insert(t, db, `INSERT INTO copies (store, digest) SELECT 'OTHER', digest FROM shards
		WHERE upload IN (SELECT id FROM uploads WHERE store = 'DIRECTORY') AND digest IS NOT NULL`)
	stray := sha256.Sum256([]byte("of no row"))
	insert(t, db, "INSERT INTO copies (store, digest) VALUES ('DIRECTORY', ?)", stray[:])

	// A file of two uploads is sent once.
	insert(t, db, `UPDATE shards SET digest = (SELECT digest FROM shards WHERE upload = 4 AND ordinal = 0)
		WHERE upload = 9 AND digest IS NOT NULL`)
}

type lackRow struct {
	Store, Of    string
	Files, Bytes int64
	DueFiles     int64 `db:"due_files"`
	DueBytes     int64 `db:"due_bytes"`
}

const allLacks = `SELECT store, origin AS of, missing_files AS files, missing_bytes AS bytes, due_files, due_bytes
	FROM replicas UNION ALL SELECT store, CAST(space AS TEXT), missing_files, missing_bytes, due_files, due_bytes
	FROM space_replicas ORDER BY store, of`

func TestReplicasCountWhatTheyLackFromTheirVersionOn(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 4)))
		db := openDB(t, settings)
		fillVersion4(t, db)
		mustUp(t, migrator(settings, firstEmbedded(t, 8)))
		fillVersion8(t, db)

		m := migrator(settings, firstEmbedded(t, 9))
		for range 2 {
			mustUp(t, m)
			requireEqual(t, selectAll[lackRow](t, db, allLacks), []lackRow{
				// Four files of upload 4, and the index of upload 6.
				{"DIRECTORY", "1", 5, 15, 4, 12},
				// The same four, one of which the removed upload 9 has too, and its index.
				{"DIRECTORY", "BUCKET", 5, 15, 4, 12},
				// The index of upload 3 besides, whose shards it has.
				{"OTHER", "1", 6, 18, 5, 15},
				{"OTHER", "DIRECTORY", 1, 3, 1, 3},
			})
			m.dropData = false
			if result, err := m.Down(t.Context(), 1); err != nil || result.To != 8 {
				t.Fatalf("down: %+v, %v", result, err)
			}
		}
	})
}
