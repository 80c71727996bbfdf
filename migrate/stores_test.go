package migrate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/formats/car"
)

// The states of uploads and shards, as version 4 numbers them.
const (
	scanning   = 1
	complete   = 5
	incomplete = 7
	removed    = 8

	planned = 1
	packed  = 3
)

// storedUpload is an upload as version 4 has it, with its shards and indexes.
type storedUpload struct {
	id, source, state int64
	// store is "" for NULL. place precedes the names of the files, except for "none:", which is all of them.
	store, place    string
	shards, indexes int
}

// storedUploads are uploads of three spaces, which are the sources 1 to 4. The third space has only a removed one.
var storedUploads = []storedUpload{
	{1, 1, complete, "", "file:///before/", 2, 0}, // an older guppy recorded no store
	{2, 1, complete, "DIRECTORY", "file:///old%20place/", 2, 0},
	{3, 1, complete, "DIRECTORY", "file:///a%20b%3F/", 2, 1},
	{4, 1, complete, "BUCKET", "s3://bucket/two%20words/", 2, 2},
	{5, 2, incomplete, "none", "none:", 2, 1},
	{6, 1, scanning, "ONLYINDEX", "file:///index/", 0, 1},
	{7, 3, incomplete, "OTHER", "file:///", 1, 0},
	{8, 3, scanning, "NOTHING", "", 0, 0},
	{9, 4, removed, "BUCKET", "s3://bucket/two%20words/", 1, 1},
}

// files returns the location and the digest of each shard or index of an upload.
func (u storedUpload) files(count int, suffix string) (locations []string, digests [][]byte) {
	for i := range count {
		digest := sha256.Sum256(fmt.Appendf(nil, "%s %d of %d", suffix, i, u.id))
		digests = append(digests, digest[:])

		name := car.ShardCID(digest).String() + ".car"
		if suffix == ".idx" {
			name = blobindex.Name(digest)
		}

		if u.place == "none:" {
			name = ""
		}
		locations = append(locations, u.place+name)
	}
	return locations, digests
}

// fillVersion4 also leaves a planned shard, which is nowhere, in each upload.
func fillVersion4(t *testing.T, db *dialect.DB) {
	t.Helper()
	for space, name := range []string{"a", "b", "c"} {
		insert(t, db, "INSERT INTO spaces (id, did, name, shard_size, created_at) VALUES (?, ?, ?, 1, 1)", space+1,
			"did:key:"+name, name)
	}
	for source, space := range []int64{1, 1, 2, 3} {
		insert(t, db, `INSERT INTO sources (id, space, name, path, excludes, symlinks, created_at)
			VALUES (?, ?, ?, ?, ?, 'keep', 1)`, source+1, space, fmt.Sprint(source), fmt.Append(nil, source), []byte{})
	}

	shard, index := 0, 0
	for _, u := range storedUploads {
		var store any
		if u.store != "" {
			store = u.store
		}
		insert(t, db, `INSERT INTO uploads (id, source, state, profile, shard_size, excludes, symlinks, token, files,
			directories, links, bytes, started_at, store) VALUES (?, ?, ?, 'profile', 1, ?, 'keep', 0, 1, 2, 3, 4, ?, ?)`,
			u.id, u.source, u.state, []byte{}, 100+u.id, store)

		locations, digests := u.files(u.shards, ".car")
		for i, location := range locations {
			shard++
			insert(t, db, `INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, content,
				nodes, digest, location) VALUES (?, ?, ?, 1, ?, 0, 1, 2, 3, 4, 5, ?, ?)`, shard, u.id, i, packed, digests[i],
				location)
		}
		shard++
		insert(t, db, `INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, content,
			nodes) VALUES (?, ?, ?, 1, ?, 0, 1, 2, 0, 0, 0)`, shard, u.id, u.shards, planned)

		locations, digests = u.files(u.indexes, ".idx")
		for i, location := range locations {
			index++
			insert(t, db, `INSERT INTO indexes (id, upload, ordinal, state, layout, root_cid, shards, slices, size, digest,
				location) VALUES (?, ?, ?, 3, 'storacha', ?, 1, 2, 3, ?, ?)`, index, u.id, i, []byte{1}, digests[i], location)
		}
	}
}

// located returns the locations of all shards and indexes, "-" for those that are nowhere.
func located(t *testing.T, db *dialect.DB) []string {
	t.Helper()
	return slices.Concat(
		selectAll[string](t, db, "SELECT COALESCE(location, '-') FROM shards ORDER BY id"),
		selectAll[string](t, db, "SELECT location FROM indexes ORDER BY id"))
}

type storeRow struct {
	Identity, Name, URL string
	Created             int64 `db:"created_at"`
	Seen                int64
}

func (r storeRow) String() string {
	return fmt.Sprintf("%s %s %q %d %v", r.Identity, r.Name, r.URL, r.Created, r.Seen)
}

const allStores = "SELECT identity, name, url, created_at, seen_at AS seen FROM stores ORDER BY identity"

func TestStoresComeWithTheirVersion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 4)))
		db := openDB(t, settings)
		fillVersion4(t, db)
		m := migrator(settings, firstEmbedded(t, 6))
		was := located(t, db)

		// On the way back all files of a store are where its last one is, and files of no store have only their names.
		back := slices.Clone(was)
		for i, name := range storedUploads[0].names() {
			back[i] = name
		}
		for i, name := range storedUploads[1].names() {
			back[3+i] = "file:///a%20b%3F/" + name
		}

		for range 2 {
			mustUp(t, m)
			requireEqual(t, selectAll[storeRow](t, db, allStores), []storeRow{
				{"BUCKET", "store-2", "s3://bucket/two%20words/", 104, 109},
				{"DIRECTORY", "store-1", "file:///a%20b%3F/", 102, 103},
				{"NOTHING", "store-6", "", 108, 108},
				{"ONLYINDEX", "store-4", "file:///index/", 106, 106},
				{"OTHER", "store-5", "file:///", 107, 107},
				{"none", "none", "none:", 105, 105},
			})
			requireEqual(t, selectAll[string](t, db, "SELECT COALESCE(store, '-') FROM spaces ORDER BY id"),
				[]string{"BUCKET", "OTHER", "-"})

			m.dropData = false
			var loss *LossError
			if _, err := m.Down(t.Context(), 1); !errors.As(err, &loss) || !slices.Equal(loss.Losses, []Loss{{"stores", 6}}) {
				t.Fatalf("down: %v", err)
			}
			m.dropData = true
			if result, err := m.Down(t.Context(), 1); err != nil || result.To != 5 {
				t.Fatalf("down: %+v, %v", result, err)
			}
			requireEqual(t, located(t, db), back)
		}
	})
}

// names returns the names of an upload's shards.
func (u storedUpload) names() []string {
	u.place = ""
	names, _ := u.files(u.shards, ".car")
	return names
}

// TestStoresThatMovedGoBackToWhereTheyAre also has an S3 store with a server, which no location names.
func TestStoresThatMovedGoBackToWhereTheyAre(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 4)))
		db := openDB(t, settings)
		fillVersion4(t, db)
		m := migrator(settings, firstEmbedded(t, 6))
		mustUp(t, m)

		insert(t, db, "UPDATE stores SET url = ?, name = 'named' WHERE identity = 'BUCKET'",
			"s3://other/?endpoint=http%3A%2F%2Fh%3A9000&region=a")
		insert(t, db, "UPDATE stores SET seen_at = 7")
		if result, err := m.Down(t.Context(), 1); err != nil || result.To != 5 {
			t.Fatalf("down: %+v, %v", result, err)
		}

		got := selectAll[string](t, db, "SELECT location FROM shards WHERE upload = 4 AND location IS NOT NULL ORDER BY id")
		var want []string
		for _, name := range storedUploads[3].names() {
			want = append(want, "s3://other/"+name)
		}
		requireEqual(t, got, want)

		// The version can be reached again, from other places.
		mustUp(t, m)
		requireEqual(t, selectAll[string](t, db, "SELECT url FROM stores WHERE identity = 'BUCKET'"),
			[]string{"s3://other/"})
	})
}

// TestAnEmptyDatabaseHasNoStores also goes back without being told to lose anything.
func TestAnEmptyDatabaseHasNoStores(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings, WithMigrations(firstEmbedded(t, 6)))
		mustUp(t, m)
		if result, err := m.Down(t.Context(), 1); err != nil || result.To != 5 {
			t.Errorf("down: %+v, %v", result, err)
		}
	})
}
