package check

import "github.com/guppy-prep/guppy/sqlrepo"

// What repair does, in the words of its plan.
const (
	doCounters  = "the counters are raised above the keys that are taken"
	doOrphans   = "the rows are deleted"
	doRevision  = "the revision is raised"
	doSettle    = "the upload gets the state that goes with its root"
	doRecount   = "the rows are counted again"
	doLease     = "the leases of the upload are cleared"
	doEntry     = "the entry is scanned again; in an older upload it is left out"
	doReopen    = "the upload is scanned again; an older one becomes incomplete"
	doRelink    = "the upload is linked again from its rows"
	doRoot      = "the root is forgotten, and made again from the segments"
	doRoots     = "the root is made again from the segments"
	doSegments  = "the segments are forgotten"
	doReplan    = "the segment is found again, or the file planned again; in an older upload it is left out"
	doDetach    = "the segment is found again, or the file planned by itself; in an older upload it is left out"
	doShard     = "the shard's rows are made again from its file, or from what is good of it"
	doDigests   = "the number of chunks is set, or the shard's files are planned again"
	doContent   = "the sum is set"
	doPiece     = "the piece CID is computed again"
	doLose      = "what is good of a bad file goes to a new one, and what no other shard holds is packed again; the file is set aside"
	doLocation  = "the location is set"
	doMarker    = "the store gets back the identity that the uploads know"
	doTemporary = "the file is removed"
	doBlocks    = "the file is planned again, or the upload linked again for the nodes above the chunks"
	doAnew      = "nothing: no store keeps the bytes, and the source has changed; prepare it again, and remove this upload"
	doForget    = "the index is given up, and its shards are indexed again"
	doIndex     = "the shards are indexed"
	doNothing   = "nothing"
)

var remedies = map[string]string{
	sqlrepo.FlawCounter:         doCounters,
	sqlrepo.FlawSourceOrphan:    doOrphans,
	sqlrepo.FlawUploadOrphan:    doOrphans,
	sqlrepo.FlawEntryOrphan:     doOrphans,
	sqlrepo.FlawShardOrphan:     doOrphans,
	sqlrepo.FlawSegmentOrphan:   doOrphans,
	sqlrepo.FlawNodeOrphan:      doOrphans,
	sqlrepo.FlawRootOrphan:      doOrphans,
	sqlrepo.FlawSpaceRevision:   doRevision,
	sqlrepo.FlawUploadState:     doSettle,
	sqlrepo.FlawUploadRoot:      doSettle,
	sqlrepo.FlawUploadFinished:  doSettle,
	sqlrepo.FlawUploadUnlinked:  doRelink,
	sqlrepo.FlawUploadCounts:    doRecount,
	sqlrepo.FlawTallyEntries:    doRecount,
	sqlrepo.FlawTallyShards:     doRecount,
	sqlrepo.FlawTallySegments:   doRecount,
	sqlrepo.FlawTallySealed:     doRecount,
	sqlrepo.FlawLeaseTorn:       doLease,
	sqlrepo.FlawLeaseTime:       doLease,
	sqlrepo.FlawLeaseIdle:       doLease,
	sqlrepo.FlawEntryKind:       doEntry,
	sqlrepo.FlawEntryState:      doEntry,
	sqlrepo.FlawEntryUnsettled:  doReopen,
	sqlrepo.FlawEntryUnlinked:   doRoots,
	sqlrepo.FlawRootStray:       doRoot,
	sqlrepo.FlawRootMalformed:   doRoot,
	sqlrepo.FlawOriginLost:      doDetach,
	sqlrepo.FlawOriginRoot:      doRoots,
	sqlrepo.FlawSegmentStray:    doSegments,
	sqlrepo.FlawSegmentShard:    doReplan,
	sqlrepo.FlawSegmentShape:    doReplan,
	sqlrepo.FlawSegmentGap:      doReplan,
	sqlrepo.FlawSegmentOverlap:  doReplan,
	sqlrepo.FlawSegmentBeyond:   doReplan,
	sqlrepo.FlawSegmentChunk:    doReplan,
	sqlrepo.FlawShardKind:       doShard,
	sqlrepo.FlawShardFields:     doShard,
	sqlrepo.FlawShardDigests:    doDigests,
	sqlrepo.FlawShardContent:    doContent,
	sqlrepo.FlawShardUnpacked:   doReopen,
	sqlrepo.FlawShardSize:       doShard,
	sqlrepo.FlawShardPiece:      doPiece,
	sqlrepo.FlawNodeCount:       doShard,
	sqlrepo.FlawNodeGap:         doShard,
	sqlrepo.FlawNodeOverlap:     doShard,
	sqlrepo.FlawNodeCodec:       doShard,
	sqlrepo.FlawNodeDigest:      doShard,
	sqlrepo.FlawBlockTwice:      doShard,
	sqlrepo.FlawIndexOrphan:     doOrphans,
	sqlrepo.FlawIndexFields:     doForget,
	sqlrepo.FlawIndexShards:     doForget,
	sqlrepo.FlawIndexRoot:       doForget,
	sqlrepo.FlawShardIndex:      doForget,
	sqlrepo.FlawShardUnindexed:  doIndex,
	sqlrepo.FlawUploadUnindexed: doIndex,
	sqlrepo.FlawShardOverfull:   doNothing + ": the shard can be read without an index",
	CodeIndexMissing:            doForget,
	CodeIndexLength:             doForget,
	CodeIndexLocation:           doForget,
	CodeIndexDamaged:            doForget,
	CodeIndexMismatch:           doForget,
	CodeStoreMarker:             doMarker,
	CodeStoreElsewhere:          doNothing,
	CodeStoreTemporary:          doTemporary,
	CodeStoreTrash: doNothing +
		": guppy gc --yes, or the next run that prepares, restores it if a row names it, and else removes it",
	CodeStoreStray:    doNothing + ": guppy gc --strays removes it if it is no other repository's",
	CodeStoreAside:    doNothing + ": guppy gc --strays removes it",
	CodeShardMissing:  doLose,
	CodeShardLength:   doLose,
	CodeShardDamaged:  doLose,
	CodeShardLocation: doLocation,
	CodeShardUnmade:   doAnew,
	CodeNodeMismatch:  doShard,
	CodePieceMismatch: doPiece,
	CodeBlockMissing:  doBlocks,
	CodeRootMismatch:  doRoots + "; the file is planned again if its content is in doubt",
	CodeDAGRoot:       doReopen,
	CodeKeyUnnamed:    doNothing + ": remove it by hand if no repository or backup has the space",
	CodeDAGUnknown:    doNothing + " before the other problems are mended",
}

// otherwise is what repair does when roots can't be made again.
var otherwise = map[string]string{
	sqlrepo.FlawEntryUnlinked: doRelink,
	sqlrepo.FlawOriginRoot:    doDetach,
}

// doSearch comes before files are planned again: their segments may be found again.
const doSearch = "the segments are looked for"

// does tells whether something is what repair does about a problem, or tries.
func does(code, do string) bool {
	first := remedy(code)
	return first == do || otherwise[code] == do || do == doSearch && (first == doReplan || first == doDetach)
}

// remedy says what repair does about a problem.
func remedy(code string) string { return remedies[code] }
