package check

// action is a kind of change that a repair makes. A check prints it as part of the plan.
type action int

const (
	leaveAlone action = iota + 1
	raiseCounters
	deleteOrphans
	raiseRevision
	settleUpload
	recountRows
	recountReplicas
	clearLeases
	forgetStop
	rescanEntry
	reopenUpload
	relinkUpload
	forgetRoot
	remakeRoots
	forgetSegments
	// searchSegments comes before replanFile and detachFile: the segments may be found again.
	searchSegments
	replanFile
	detachFile
	remakeShard
	countChunks
	sumContent
	computePiece
	salvageShard
	restoreMarker
	removeFile
	restoreBlocks
	prepareAgain
	forgetIndex
	restoreIndex
	indexShards
	restoreCopy
	fillReplica
)

var actionTexts = [...]string{
	leaveAlone:      "nothing",
	raiseCounters:   "the counters are raised above the keys in use",
	deleteOrphans:   "the rows are deleted",
	raiseRevision:   "the revision is raised",
	settleUpload:    "the upload gets the state that matches its root",
	recountReplicas: "what replicas lack is counted again",
	recountRows:     "the rows are counted again",
	clearLeases:     "the leases of the upload are cleared",
	forgetStop:      "it is forgotten why a run of the upload stopped",
	rescanEntry:     "the entry is scanned again; in an older upload it is left out",
	reopenUpload:    "the upload is scanned again; an older one becomes incomplete",
	relinkUpload:    "the upload is linked again from its rows",
	forgetRoot:      "the root is deleted, and built again from the segments",
	remakeRoots:     "the root is built again from the segments",
	forgetSegments:  "the segments are deleted",
	searchSegments:  "the segments are searched for",
	replanFile:      "the segment is found again, or the file planned again; in an older upload it is left out",
	detachFile:      "the segment is found again, or the file planned by itself; in an older upload it is left out",
	remakeShard:     "the shard's rows are built again from its file, or from the intact part of it",
	countChunks:     "the number of chunks is set, or the shard's files are planned again",
	sumContent:      "the sum is set",
	computePiece:    "the piece CID is computed again",
	salvageShard: "a good file is copied from another store; otherwise, with --give-up, intact blocks go to a new file, " +
		"lost ones are packed again, and the file is set aside",
	restoreMarker: "the store gets back the identity that the uploads record",
	removeFile:    "the file is removed",
	restoreBlocks: "the file is planned again, or the upload linked again for the nodes above the chunks",
	prepareAgain: "nothing: no store keeps the bytes, and the source has changed; prepare it again, " +
		"and remove this upload",
	forgetIndex: "the index is deleted, and its shards are indexed again",
	restoreIndex: "its file is written again from the rows; if these give another one, the index is deleted, and its " +
		"shards are indexed again",
	indexShards: "the shards are indexed",
	restoreCopy: "a good file is copied there from another store; if none has one, the copy is forgotten",
	fillReplica: "the files are copied there from other stores",
}

// String returns what the action does, as a check prints it.
func (a action) String() string { return actionTexts[a] }
