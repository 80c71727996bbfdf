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
	doRoot      = "the root is forgotten, and the upload linked again"
	doSegments  = "the segments are forgotten"
	doReplan    = "the file is planned again; in an older upload it is left out"
	doDetach    = "the file is planned by itself; in an older upload it is left out"
	doShard     = "the shard's rows are made again from its file, or the shard is given up if that is bad"
	doDigests   = "the number of chunks is set, or the shard's files are planned again"
	doContent   = "the sum is set"
	doLose      = "the shard is given up if its file is bad, which is set aside, and what no other holds is packed again"
	doLocation  = "the location is set"
	doMarker    = "the store gets back the identity that the uploads know"
	doTemporary = "the file is removed"
	doBlocks    = "the file is planned again, or the upload linked again for the nodes above the chunks"
	doNothing   = "nothing"
)

var remedies = map[string]string{
	sqlrepo.FlawCounter:        doCounters,
	sqlrepo.FlawSourceOrphan:   doOrphans,
	sqlrepo.FlawUploadOrphan:   doOrphans,
	sqlrepo.FlawEntryOrphan:    doOrphans,
	sqlrepo.FlawShardOrphan:    doOrphans,
	sqlrepo.FlawSegmentOrphan:  doOrphans,
	sqlrepo.FlawNodeOrphan:     doOrphans,
	sqlrepo.FlawRootOrphan:     doOrphans,
	sqlrepo.FlawSpaceRevision:  doRevision,
	sqlrepo.FlawUploadState:    doSettle,
	sqlrepo.FlawUploadRoot:     doSettle,
	sqlrepo.FlawUploadFinished: doSettle,
	sqlrepo.FlawUploadCounts:   doRecount,
	sqlrepo.FlawTallyEntries:   doRecount,
	sqlrepo.FlawTallyShards:    doRecount,
	sqlrepo.FlawTallySegments:  doRecount,
	sqlrepo.FlawTallySealed:    doRecount,
	sqlrepo.FlawLeaseTorn:      doLease,
	sqlrepo.FlawLeaseTime:      doLease,
	sqlrepo.FlawLeaseIdle:      doLease,
	sqlrepo.FlawEntryKind:      doEntry,
	sqlrepo.FlawEntryState:     doEntry,
	sqlrepo.FlawEntryUnsettled: doReopen,
	sqlrepo.FlawEntryUnlinked:  doRelink,
	sqlrepo.FlawRootStray:      doRoot,
	sqlrepo.FlawRootMalformed:  doRoot,
	sqlrepo.FlawOriginLost:     doDetach,
	sqlrepo.FlawSegmentStray:   doSegments,
	sqlrepo.FlawSegmentShard:   doReplan,
	sqlrepo.FlawSegmentShape:   doReplan,
	sqlrepo.FlawSegmentGap:     doReplan,
	sqlrepo.FlawSegmentOverlap: doReplan,
	sqlrepo.FlawSegmentBeyond:  doReplan,
	sqlrepo.FlawSegmentChunk:   doReplan,
	sqlrepo.FlawShardKind:      doShard,
	sqlrepo.FlawShardFields:    doShard,
	sqlrepo.FlawShardDigests:   doDigests,
	sqlrepo.FlawShardContent:   doContent,
	sqlrepo.FlawShardUnpacked:  doReopen,
	sqlrepo.FlawShardSize:      doShard,
	sqlrepo.FlawNodeCount:      doShard,
	sqlrepo.FlawNodeGap:        doShard,
	sqlrepo.FlawNodeOverlap:    doShard,
	sqlrepo.FlawNodeCodec:      doShard,
	sqlrepo.FlawNodeDigest:     doShard,
	sqlrepo.FlawBlockTwice:     doShard,
	CodeStoreMarker:            doMarker,
	CodeStoreElsewhere:         doNothing,
	CodeStoreTemporary:         doTemporary,
	CodeStoreStray:             doNothing + ": guppy gc removes it if no row names it",
	CodeShardMissing:           doLose,
	CodeShardLength:            doLose,
	CodeShardDamaged:           doLose,
	CodeShardLocation:          doLocation,
	CodeNodeMismatch:           doShard,
	CodeBlockMissing:           doBlocks,
	CodeRootMismatch:           doRoot + "; the file is planned again if its content is in doubt",
	CodeDAGRoot:                doReopen,
	CodeDAGUnknown:             doNothing + " before the other problems are mended",
}

// remedy says what repair does about a problem.
func remedy(code string) string { return remedies[code] }
