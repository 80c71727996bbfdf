package audit

// Flaw is a contradiction between rows.
type Flaw struct {
	// Code names the kind of flaw. It stays the same from one version to the next.
	Code string
	// Upload, Shard and Entry are the keys of the rows concerned, 0 if there are none.
	Upload, Shard, Entry int64
	// Other is another shard that may be the wrong one, 0 if there is none.
	Other int64
	// Index is the key of the index concerned, 0 if there is none.
	Index int64
	// Detail says what is wrong with the rows.
	Detail string
}

// The codes of flaws between rows.
const (
	FlawCounter        = "counter"
	FlawSourceOrphan   = "source-orphan"
	FlawUploadOrphan   = "upload-orphan"
	FlawTagOrphan      = "tag-orphan"
	FlawEntryOrphan    = "entry-orphan"
	FlawShardOrphan    = "shard-orphan"
	FlawSegmentOrphan  = "segment-orphan"
	FlawNodeOrphan     = "node-orphan"
	FlawRootOrphan     = "root-orphan"
	FlawSpaceRevision  = "space-revision"
	FlawReplicaCounts  = "replica-counts"
	FlawUploadState    = "upload-state"
	FlawUploadRoot     = "upload-root"
	FlawUploadFinished = "upload-finished"
	FlawUploadUnlinked = "upload-unlinked"
	FlawUploadStop     = "upload-stop"
	FlawUploadCounts   = "upload-counts"
	FlawTallyEntries   = "tally-entries"
	FlawTallyShards    = "tally-shards"
	FlawTallySegments  = "tally-segments"
	FlawTallySealed    = "tally-sealed"
	FlawLeaseTorn      = "lease-torn"
	FlawLeaseTime      = "lease-time"
	FlawLeaseIdle      = "lease-idle"
	FlawEntryKind      = "entry-kind"
	FlawEntryState     = "entry-state"
	FlawEntryUnsettled = "entry-unsettled"
	FlawEntryUnlinked  = "entry-unlinked"
	FlawRootStray      = "root-stray"
	FlawRootMalformed  = "root-malformed"
	FlawOriginLost     = "origin-lost"
	FlawOriginRoot     = "origin-root"
	FlawSegmentStray   = "segment-stray"
	FlawSegmentShard   = "segment-shard"
	FlawSegmentShape   = "segment-shape"
	FlawSegmentGap     = "segment-gap"
	FlawSegmentOverlap = "segment-overlap"
	FlawSegmentBeyond  = "segment-beyond"
	FlawSegmentChunk   = "segment-chunk"
	FlawShardKind      = "shard-kind"
	FlawShardFields    = "shard-fields"
	FlawShardDigests   = "shard-digests"
	FlawShardContent   = "shard-content"
	FlawShardUnpacked  = "shard-unpacked"
	FlawShardSize      = "shard-size"
	FlawShardPiece     = "shard-piece"
	FlawNodeCount      = "node-count"
	FlawNodeGap        = "node-gap"
	FlawNodeOverlap    = "node-overlap"
	FlawNodeCodec      = "node-codec"
	FlawNodeDigest     = "node-digest"
	FlawBlockTwice     = "block-twice"
	FlawIndexOrphan    = "index-orphan"
	FlawIndexFields    = "index-fields"
	FlawIndexShards    = "index-shards"
	FlawIndexRoot      = "index-root"
	FlawShardIndex     = "shard-index"
	FlawShardUnindexed = "shard-unindexed"
	// FlawUploadUnindexed marks uploads from before there were indexes. They are sound all the same.
	FlawUploadUnindexed = "upload-unindexed"
	// FlawShardOverfull marks shards from that time that have more blocks than an index has room for.
	FlawShardOverfull = "shard-overfull"
)

// NoteFlaw reports whether a repository that has only flaws with this code is sound.
func NoteFlaw(code string) bool { return code == FlawUploadUnindexed || code == FlawShardOverfull }
