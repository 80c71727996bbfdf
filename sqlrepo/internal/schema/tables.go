// Package schema has the tables of the repository and their columns, each written once, and the parts of statements
// that depend on the columns alone.
package schema

import (
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Table is one of the repository's tables, with all of its columns and its key.
type Table struct {
	Name         string
	Columns, Key []string
}

// Tables lists all tables, each behind those that it refers to.
var Tables = []Table{
	{"stores", StoreColumns, []string{"identity"}},
	{"replicas", slices.Concat(ReplicaColumns, LackColumns), []string{"store", "origin"}},
	{"copies", []string{"store", "digest"}, []string{"store", "digest"}},
	{"spaces", slices.Concat(SpaceColumns, []string{"store", "revision", "needs"}), []string{"id"}},
	{"space_replicas", slices.Concat(SpaceReplicaColumns, LackColumns), []string{"space", "store"}},
	{"sendings", slices.Concat(SendingColumns, LeaseColumns), []string{"id"}},
	{"sources", slices.Concat(SourceColumns, []string{"mounts"}), []string{"id"}},
	{"uploads", allUploadColumns, []string{"id"}},
	{"upload_tags", TagColumns, TagColumns},
	{"entries", EntryColumns, []string{"id"}},
	{"shards", slices.Concat(ShardColumns, LeaseColumns), []string{"id"}},
	{"indexes", IndexColumns, []string{"id"}},
	{"segments", SegmentColumns, []string{"shard", "chunk"}},
	{"nodes", NodeColumns, []string{"shard", "position"}},
	{"roots", RootColumns, []string{"entry"}},
	{core.CounterTable, []string{"name", "value"}, []string{"name"}},
}

// The columns of each table. Those of a lease are apart, and so are those that a new row need not have.
var (
	StoreColumns   = []string{"identity", "name", "url", "created_at", "seen_at"}
	ReplicaColumns = []string{"store", "origin", "synced_at"}
	SpaceColumns   = []string{"id", "did", "name", "shard_size", "created_at"}
	SourceColumns  = []string{"id", "space", "name", "path", "excludes", "symlinks", "created_at", "removed_at"}
	UploadColumns  = []string{"id", "source", "state", "profile", "shard_size", "excludes", "symlinks", "token", "files",
		"directories", "links", "bytes", "root_cid", "started_at", "finished_at", "store", "skip_failed", "index_layout",
		"index_slices", "piece_cid"}
	EntryColumns = []string{"id", "upload", "path", "kind", "size", "mtime_ns", "permissions", "target", "state",
		"reason", "origin", "mtime_era", "ctime_ns", "inode", "unproven"}
	ShardColumns = []string{"id", "upload", "ordinal", "kind", "state", "token", "planned_size", "chunks", "size",
		"content", "nodes", "digest", "digests", "blob_index", "piece"}
	IndexColumns = []string{"id", "upload", "ordinal", "state", "layout", "root_cid", "shards", "slices", "size",
		"digest"}
	TagColumns          = []string{"upload", "tag"}
	SpaceReplicaColumns = []string{"space", "store"}
	SendingColumns      = []string{"id", "space", "store", "origin", "kind", "digest", "size", "token"}
	SegmentColumns      = []string{"entry", "file_offset", "shard", "chunk", "length"}
	NodeColumns         = []string{"prefix", "shard", "position", "length", "codec", "suffix"}
	RootColumns         = []string{"entry", "dag_size", "cid"}
)

// Further columns of uploads: which content is read again, what commits count, how far the present stage is, and how
// runs of the upload and of later ones ended.
var (
	RereadingColumns = []string{"reread", "ignore_inode", "ignore_ctime", "mtime_window"}
	TallyColumns     = []string{"found_entries", "linked_entries", "planned_files", "planned_bytes", "planned_shards",
		"packed_files", "packed_bytes", "settled_shards", "aside_shards", "sealed", "shared_entries"}
	StageColumns = []string{"stage_began", "stage_bytes", "scanned_again"}
	RunColumns   = []string{"always", "confirmed_at", "confirmed_by", "stopped_at", "stop_reason"}

	allUploadColumns = slices.Concat(UploadColumns, RereadingColumns, TallyColumns, StageColumns, RunColumns, LeaseColumns)
)

// LackColumns are the columns of replicas that count what they lack, and what they lack of complete uploads.
var LackColumns = []string{"missing_files", "missing_bytes", "due_files", "due_bytes"}

// MachineColumns are the columns of entries that say where an entry was found, not what it is.
var MachineColumns = []string{"ctime_ns", "inode", "unproven"}

// What a SELECT reads of rows into structs.
var (
	SpaceFields   = append(Readable(slices.Concat(SpaceColumns, []string{"store"})...), replicasOfSpace)
	SendingFields = slices.Concat(SendingColumns, Readable(LeaseColumns...))
	SourceFields  = Readable(slices.Concat(SourceColumns, []string{"mounts"})...)
	UploadFields  = Readable(allUploadColumns...)
	EntryFields   = Readable(EntryColumns...)
	// PrintFields are what a SELECT reads into the fingerprint of a file, which has no target.
	PrintFields = Readable("kind", "size", "mtime_ns", "permissions", "mtime_era", "ctime_ns", "inode", "unproven")
	// ShardFields leave out the digests, which can take a megabyte.
	ShardFields = append(Readable(slices.Concat(Without(ShardColumns, "digests"), LeaseColumns)...), storeOf("shards"))
	IndexFields = append(Readable(IndexColumns...), storeOf("indexes"))
)

// replicasOfSpace is the field of a SELECT that counts the replicas of a space.
const replicasOfSpace = "(SELECT COUNT(*) FROM space_replicas WHERE space_replicas.space = spaces.id) AS replicas"

// storeOf is the field of a SELECT that reads the store of a row's upload.
func storeOf(table string) string {
	return "COALESCE((SELECT store FROM uploads WHERE uploads.id = " + table + ".upload), '') AS store"
}

// blanks stand for NULL in columns that Go reads as text, as a number or as a key.
var blanks = map[string]string{
	"worker": "''", "error": "''", "store": "''", "reason": "''",
	"blob_index": "0", "origin": "0", "mtime_era": "0", "ctime_ns": "0", "inode": "0", "unproven": "0",
	"stop_reason": "''", "confirmed_by": "0",
}

// Readable are the fields of a SELECT that reads these columns into a struct.
func Readable(columns ...string) (fields []string) {
	for _, column := range columns {
		if blank, null := blanks[column]; null {
			column = "COALESCE(" + column + ", " + blank + ") AS " + column
		}
		fields = append(fields, column)
	}
	return fields
}

// Without returns columns except some.
func Without(columns []string, left ...string) (kept []string) {
	for _, column := range columns {
		if !slices.Contains(left, column) {
			kept = append(kept, column)
		}
	}
	return kept
}
