package check_test

import (
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// indexDamages are damages to indexes, and to the rows of shards that name them.
func indexDamages() []damage {
	set := func(what string) string { return "UPDATE indexes SET " + what + " WHERE upload = " + newest }
	return []damage{
		sql("counter", "DELETE FROM counters WHERE name = 'indexes'"),
		sql("index-fields", set("size = 0")),
		sql("index-fields", set("digest = ?"), []byte{1, 2}),
		sql("index-fields", set("state = 7")),
		sql("index-fields", set("layout = ''")),
		sql("index-mismatch", set("layout = 'spec'")),
		sql("index-shards", set("shards = shards + 1")),
		sql("index-shards", set("slices = slices + 1")),
		sql("index-shards", "UPDATE shards SET blob_index = NULL WHERE id = "+dataShard),
		sql("index-shards", "UPDATE shards SET blob_index = (SELECT MIN(id) FROM indexes) WHERE id = "+dataShard),
		sql("index-root", set("root_cid = (SELECT root_cid FROM uploads WHERE id = 1)")),
		sql("shard-index", "DELETE FROM indexes WHERE upload = "+newest),
		sql("shard-index", "UPDATE shards SET blob_index = 999999 WHERE id = "+dataShard),
		{"shard-unindexed", "an index that is gone with all that names it, but for one shard", func(f *fixture) {
			f.execute("UPDATE shards SET blob_index = NULL WHERE upload = " + newest + " AND id <> " + dataShard)
			f.execute("UPDATE indexes SET shards = 1, slices = 1 + (SELECT nodes FROM shards WHERE id = " + dataShard +
				") WHERE upload = " + newest)
		}},
		{"index-missing", "an index file that is gone", func(f *fixture) { f.harm(os.Remove(f.index())) }},
		{"index-length", "an index file that is cut", func(f *fixture) { f.harm(os.Truncate(f.index(), 100)) }},
		{"index-damaged", "an index file with a wrong byte", func(f *fixture) {
			f.harm(flip(f.index()))
		}},
		sql("index-mismatch", "UPDATE nodes SET length = length + 1 WHERE shard = "+dagShard),
		sql("index-mismatch", "UPDATE nodes SET prefix = prefix + 1 WHERE shard = "+dagShard),
	}
}

// index returns the path of an index of the newest upload.
func (f *fixture) index() string {
	f.Helper()
	upload := f.uploads[len(f.uploads)-1].ID
	for row, err := range f.repo.Indexes(f.Context(), sqlrepo.IndexFilter{Upload: &upload}) {
		must(f, err)
		return filepath.Join(f.dir, blobindex.Name([32]byte(row.Digest)))
	}
	return filepath.Join(f.dir, "none") // harm fails the test if that must not happen
}
