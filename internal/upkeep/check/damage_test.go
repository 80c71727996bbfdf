package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// damage is one kind of damage, with the code of the problem that a check reports.
type damage struct {
	code string
	what string
	do   func(f *fixture)
}

// The newest upload: its key, a small file of its own, one that shares content with the older upload, a large file,
// a data shard and a DAG shard.
const (
	newest    = "(SELECT MAX(id) FROM uploads)"
	small     = "(SELECT MIN(entry) FROM segments WHERE length < 1000 AND length > 0 AND shard IN " + ofNewest + ")"
	reused    = "(SELECT MIN(id) FROM entries WHERE origin IS NOT NULL AND upload = " + newest + ")"
	large     = "(SELECT MAX(entry) FROM segments WHERE file_offset > 0 AND shard IN " + ofNewest + ")"
	ofNewest  = "(SELECT id FROM shards WHERE upload = " + newest + ")"
	dataShard = "(SELECT MAX(id) FROM shards WHERE kind = 1 AND state = 3 AND upload = " + newest + ")"
	dagShard  = "(SELECT MAX(id) FROM shards WHERE kind = 2 AND state = 3 AND upload = " + newest + ")"
	someNode  = "(SELECT MAX(position) FROM nodes WHERE shard = " + dataShard + ")"
)

func sql(code, statement string, args ...any) damage {
	return damage{code, statement, func(f *fixture) { f.execute(statement, args...) }}
}

func lease(ends string) string {
	return "token = 7, worker = 'nobody', lease_began = 1000, lease_seen = 1000, lease_ends = " + ends
}

func damages() []damage {
	return slices.Concat(uploadDamages(), entryDamages(), segmentDamages(), shardDamages(), orphanDamages(), fileDamages(),
		indexDamages(), pieceDamages())
}

// pieceDamages come last: after them, checks hash all shards once more.
func pieceDamages() []damage {
	const set = "UPDATE shards SET piece = ? WHERE id = " + dataShard
	return []damage{
		sql("shard-piece", "UPDATE uploads SET piece_cid = 1"),
		sql("shard-piece", set, []byte{1, 2, 3}),
		sql("piece-mismatch", set, bytes.Repeat([]byte{7}, 32)),
	}
}

func uploadDamages() []damage {
	set := func(what string) string { return "UPDATE uploads SET " + what + " WHERE id = " + newest }
	return []damage{
		sql("counter", "UPDATE counters SET value = 1 WHERE name = 'entries'"),
		sql("counter", "DELETE FROM counters WHERE name = 'shards'"),
		sql("space-revision", "UPDATE spaces SET revision = 0"),
		sql("upload-state", set("state = 99")),
		sql("upload-root", set("root_cid = NULL")),
		sql("upload-root", set("root_cid = ?"), []byte{1, 2, 3}),
		sql("upload-root", set("state = 3")),
		sql("upload-unlinked", set("state = 4, root_cid = NULL, finished_at = NULL, set_aside_at = 1000, error = 'failed'")),
		sql("upload-unlinked", "UPDATE uploads SET state = 4, root_cid = NULL, finished_at = NULL WHERE id = 1"),
		sql("upload-finished", set("finished_at = NULL")),
		sql("upload-stop", set("stopped_at = 1000")),
		sql("upload-stop", set("stop_reason = 'full'")),
		sql("upload-stop", set("stopped_at = 1000, stop_reason = 'full'")),
		sql("dag-root", set("root_cid = (SELECT root_cid FROM uploads WHERE id = 1)")),
		sql("upload-counts", set("files = files + 1")),
		sql("tally-entries", set("found_entries = found_entries + 1")),
		sql("tally-entries", set("linked_entries = 0")),
		sql("tally-shards", set("settled_shards = 0")),
		sql("tally-segments", set("packed_bytes = packed_bytes + 1")),
		sql("lease-torn", set("token = 7")),
		sql("lease-torn", set("worker = 'nobody'")),
		sql("lease-time", set(lease("9000000000000000"))),
		sql("lease-idle", set(lease("2000"))),
		sql("lease-idle", "UPDATE shards SET "+lease("2000")+" WHERE id = "+dataShard),
	}
}

func entryDamages() []damage {
	set := func(what, id string) string { return "UPDATE entries SET " + what + " WHERE id = " + id }
	ofNewest := func(what string) string {
		return "(SELECT MIN(id) FROM entries WHERE " + what + " AND upload = " + newest + ")"
	}

	return []damage{
		sql("entry-kind", set("target = NULL", ofNewest("kind = 3"))),
		sql("entry-kind", set("kind = 4", ofNewest("kind = 2"))),
		sql("entry-kind", set("kind = 9", small)),
		sql("entry-state", set("state = 9", small)),
		sql("entry-state", set("reason = 'none'", small)),
		sql("entry-unsettled", set("state = 1, reason = 'changed'", small)),
		sql("entry-unsettled", set("state = 3, reason = 'failed'", small)),
		sql("entry-unlinked", "DELETE FROM roots WHERE entry = "+small),
		sql("root-stray", "INSERT INTO roots (entry, dag_size, cid) "+
			"SELECT "+reused+", dag_size, cid FROM roots WHERE entry = "+small),
		sql("root-malformed", "UPDATE roots SET cid = ? WHERE entry = "+small, []byte{1}),
		sql("root-mismatch", "UPDATE roots SET dag_size = dag_size + 1 WHERE entry = "+small),
		sql("root-mismatch", "UPDATE roots SET cid = (SELECT cid FROM roots WHERE entry = "+small+") WHERE entry = "+large),
		sql("root-mismatch", "UPDATE roots SET dag_size = 1 WHERE entry = "+ofNewest("kind = 2")),
		sql("origin-lost", set("origin = 999999", reused)),
		sql("origin-lost", set("origin = (SELECT MIN(id) FROM entries WHERE kind = 2)", reused)),
		sql("segment-shape", set("size = size + 1", small)),
		sql("upload-counts", "DELETE FROM entries WHERE id = "+ofNewest("kind = 3")),
	}
}

func segmentDamages() []damage {
	ofEntry := func(entry string) string { return " WHERE entry = " + entry }
	later := ofEntry(large) + " AND file_offset > 0"
	return []damage{
		sql("segment-gap", "DELETE FROM segments"+ofEntry(small)),
		sql("segment-gap", "DELETE FROM segments"+ofEntry(large)+" AND file_offset = 0"),
		sql("segment-overlap", "UPDATE segments SET file_offset = 0"+later+" AND length % 1048576 = 0"),
		sql("segment-beyond", "UPDATE entries SET size = 1048576 WHERE id = "+large),
		sql("segment-shape", "UPDATE segments SET length = length + 1"+ofEntry(small)),
		sql("segment-chunk", "UPDATE segments SET chunk = 5000"+ofEntry(small)),
		sql("segment-stray", "UPDATE segments SET entry = (SELECT MAX(id) FROM entries WHERE kind = 2)"+ofEntry(small)),
		sql("segment-shard", "UPDATE segments SET shard = "+dagShard+ofEntry(small)),
		sql("segment-shard", "UPDATE segments SET shard = (SELECT MIN(id) FROM shards), chunk = 5000"+ofEntry(small)),
		sql("segment-orphan", "DELETE FROM entries WHERE id = "+small),
		sql("segment-orphan", "UPDATE segments SET shard = 7777"+ofEntry(small)),
	}
}

func shardDamages() []damage {
	set := func(what string) string { return "UPDATE shards SET " + what + " WHERE id = " + dataShard }
	node := " WHERE shard = " + dataShard + " AND position = " + someNode
	return []damage{
		sql("node-codec", set("kind = 2")),
		sql("shard-kind", set("state = 77")),
		sql("shard-kind", "UPDATE shards SET state = 1 WHERE id = "+dagShard),
		sql("shard-fields", set("digest = NULL")),
		sql("shard-fields", set("digest = ?"), []byte{1, 2}),
		sql("shard-missing", set("digest = ?"), bytes.Repeat([]byte{7}, 32)),
		sql("shard-fields", set("state = 4")),
		sql("shard-unpacked", set("state = 1")),
		sql("shard-digests", set("chunks = chunks + 1")),
		sql("shard-digests", "UPDATE shards SET digests = ?, chunks = chunks + 1 WHERE id = "+
			"(SELECT shard FROM segments WHERE entry = "+large+" AND file_offset = 0)", []byte{1, 2}),
		sql("shard-content", "UPDATE shards SET content = 0 WHERE id = 1"),
		sql("shard-size", set("size = size + 1")),
		sql("node-count", set("nodes = nodes + 1")),
		sql("node-gap", "DELETE FROM nodes WHERE shard = "+dataShard+
			" AND position = (SELECT MIN(position) FROM nodes WHERE shard = "+dataShard+")"),
		sql("shard-size", "DELETE FROM nodes"+node),
		sql("node-overlap", "UPDATE nodes SET position = position - 1"+node),
		sql("node-gap", "UPDATE nodes SET position = position + 1"+node),
		sql("node-codec", "UPDATE nodes SET codec = 112"+node),
		sql("node-digest", "UPDATE nodes SET suffix = ?"+node, []byte{1}),
		sql("node-mismatch", "UPDATE nodes SET prefix = prefix / 2 + 1"+node),
		sql("block-missing", "UPDATE nodes SET prefix = prefix / 2 + 1 WHERE shard = "+dagShard+
			" AND position = (SELECT MIN(position) FROM nodes WHERE shard = "+dagShard+")"),
		sql("node-count", "DELETE FROM nodes WHERE shard = "+dagShard),
		{"block-twice", "a node is that of another shard", func(f *fixture) {
			other := " FROM nodes WHERE shard = 1 ORDER BY position LIMIT 1)"
			f.execute("UPDATE nodes SET prefix = (SELECT prefix" + other + ", suffix = (SELECT suffix" + other + node)
		}},
	}
}

func orphanDamages() []damage {
	return []damage{
		sql("source-orphan", "INSERT INTO sources (id, space, name, path, excludes, symlinks, created_at) "+
			"SELECT 1000, 1000, name, path, excludes, symlinks, created_at FROM sources"),
		sql("upload-orphan", "INSERT INTO uploads (id, source, state, profile, shard_size, excludes, symlinks, token, "+
			"files, directories, links, bytes, started_at) SELECT 0, 1000, 1, profile, shard_size, excludes, symlinks, "+
			"0, 0, 0, 0, 0, started_at FROM uploads WHERE id = 1"),
		sql("tag-orphan", "INSERT INTO upload_tags (upload, tag) VALUES (1000, 'tag')"),
		sql("shard-orphan", "INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, "+
			"content, nodes) VALUES (0, 1000, 0, 1, 1, 0, 0, 0, 0, 0, 0)"),
		sql("entry-orphan", "INSERT INTO entries (id, mtime_ns, size, upload, permissions, kind, state, path) "+
			"SELECT 0, mtime_ns, size, 1000, permissions, kind, state, path FROM entries WHERE id = 1"),
		sql("segment-orphan", "INSERT INTO segments (entry, file_offset, shard, chunk, length) VALUES (-1, 0, 1000, 0, 1)"),
		sql("node-orphan", "INSERT INTO nodes (prefix, shard, position, length, codec, suffix) "+
			"SELECT prefix, 1000, position, length, codec, suffix FROM nodes WHERE shard = 1"),
		sql("root-orphan", "INSERT INTO roots (entry, dag_size, cid) SELECT -1, dag_size, cid FROM roots WHERE entry = 1"),
	}
}

func fileDamages() []damage {
	files := func(code, what string, upload int, kind sqlrepo.ShardKind, spoil func(path string) error) damage {
		return damage{code, what, func(f *fixture) {
			if shard := f.shardOf(upload, kind); shard != 0 {
				f.harm(spoil(f.file(shard)))
			}
		}}
	}
	cut := func(path string) error { return os.Truncate(path, 100) }
	rename := func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "renamed")) }

	return []damage{
		files("shard-missing", "a data shard of the newest upload is removed", 1, sqlrepo.DataShard, os.Remove),
		files("shard-missing", "a DAG shard of the newest upload is removed", 1, sqlrepo.DAGShard, os.Remove),
		files("shard-missing", "a data shard of the older upload is removed", 0, sqlrepo.DataShard, os.Remove),
		files("shard-missing", "a DAG shard of the older upload is removed", 0, sqlrepo.DAGShard, os.Remove),
		files("shard-missing", "a shard is renamed", 1, sqlrepo.DataShard, rename),
		files("shard-length", "a shard is cut", 1, sqlrepo.DataShard, cut),
		files("shard-length", "a DAG shard is cut", 0, sqlrepo.DAGShard, cut),
		files("shard-damaged", "a bit of a shard is flipped", 1, sqlrepo.DataShard, flip),
		files("shard-damaged", "a bit of a DAG shard is flipped", 1, sqlrepo.DAGShard, flip),
		{"store-temporary", "a temporary file is left", func(f *fixture) {
			must(f, os.WriteFile(filepath.Join(f.dir, ".guppy-z6MkTest-1-77-1.tmp"), nil, 0o600))
		}},
		{"store-marker", "the marker is removed", func(f *fixture) {
			f.harm(os.Remove(filepath.Join(f.dir, ".guppy-store")))
		}},
		{"store-marker", "the marker is damaged", func(f *fixture) {
			must(f, os.WriteFile(filepath.Join(f.dir, ".guppy-store"), []byte("?"), 0o600))
		}},
	}
}
