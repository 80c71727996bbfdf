package check

import "github.com/guppy-prep/guppy/sqlrepo/audit"

// remedy is what repair does about one kind of problem.
type remedy struct {
	action action
	// otherwise is done where action is not possible. It is not printed with the plan. The zero value means nothing.
	otherwise action
	// remark is printed after the action.
	remark string
}

// String returns the remedy as a check prints it.
func (r remedy) String() string { return r.action.String() + r.remark }

// includes reports whether an action is part of the remedy or is tried before it.
func (r remedy) includes(a action) bool {
	searched := r.action == replanFile || r.action == detachFile
	return r.action == a || r.otherwise == a || a == searchSegments && searched
}

// remedies holds the remedy of each problem, by code.
var remedies = map[string]remedy{
	audit.FlawCounter:         {action: raiseCounters},
	audit.FlawSourceOrphan:    {action: deleteOrphans},
	audit.FlawUploadOrphan:    {action: deleteOrphans},
	audit.FlawTagOrphan:       {action: deleteOrphans},
	audit.FlawEntryOrphan:     {action: deleteOrphans},
	audit.FlawShardOrphan:     {action: deleteOrphans},
	audit.FlawSegmentOrphan:   {action: deleteOrphans},
	audit.FlawNodeOrphan:      {action: deleteOrphans},
	audit.FlawRootOrphan:      {action: deleteOrphans},
	audit.FlawSpaceRevision:   {action: raiseRevision},
	audit.FlawReplicaCounts:   {action: recountReplicas},
	audit.FlawUploadState:     {action: settleUpload},
	audit.FlawUploadRoot:      {action: settleUpload},
	audit.FlawUploadFinished:  {action: settleUpload},
	audit.FlawUploadStop:      {action: forgetStop},
	audit.FlawUploadUnlinked:  {action: relinkUpload},
	audit.FlawUploadCounts:    {action: recountRows},
	audit.FlawTallyEntries:    {action: recountRows},
	audit.FlawTallyShards:     {action: recountRows},
	audit.FlawTallySegments:   {action: recountRows},
	audit.FlawTallySealed:     {action: recountRows},
	audit.FlawLeaseTorn:       {action: clearLeases},
	audit.FlawLeaseTime:       {action: clearLeases},
	audit.FlawLeaseIdle:       {action: clearLeases},
	audit.FlawEntryKind:       {action: rescanEntry},
	audit.FlawEntryState:      {action: rescanEntry},
	audit.FlawEntryUnsettled:  {action: reopenUpload},
	audit.FlawEntryUnlinked:   {action: remakeRoots, otherwise: relinkUpload},
	audit.FlawRootStray:       {action: forgetRoot},
	audit.FlawRootMalformed:   {action: forgetRoot},
	audit.FlawOriginLost:      {action: detachFile},
	audit.FlawOriginRoot:      {action: remakeRoots, otherwise: detachFile},
	audit.FlawSegmentStray:    {action: forgetSegments},
	audit.FlawSegmentShard:    {action: replanFile},
	audit.FlawSegmentShape:    {action: replanFile},
	audit.FlawSegmentGap:      {action: replanFile},
	audit.FlawSegmentOverlap:  {action: replanFile},
	audit.FlawSegmentBeyond:   {action: replanFile},
	audit.FlawSegmentChunk:    {action: replanFile},
	audit.FlawShardKind:       {action: remakeShard},
	audit.FlawShardFields:     {action: remakeShard},
	audit.FlawShardDigests:    {action: countChunks},
	audit.FlawShardContent:    {action: sumContent},
	audit.FlawShardUnpacked:   {action: reopenUpload},
	audit.FlawShardSize:       {action: remakeShard},
	audit.FlawShardPiece:      {action: computePiece},
	audit.FlawNodeCount:       {action: remakeShard},
	audit.FlawNodeGap:         {action: remakeShard},
	audit.FlawNodeOverlap:     {action: remakeShard},
	audit.FlawNodeCodec:       {action: remakeShard},
	audit.FlawNodeDigest:      {action: remakeShard},
	audit.FlawBlockTwice:      {action: remakeShard},
	audit.FlawIndexOrphan:     {action: deleteOrphans},
	audit.FlawIndexFields:     {action: forgetIndex},
	audit.FlawIndexShards:     {action: forgetIndex},
	audit.FlawIndexRoot:       {action: forgetIndex},
	audit.FlawShardIndex:      {action: forgetIndex},
	audit.FlawShardUnindexed:  {action: indexShards},
	audit.FlawUploadUnindexed: {action: indexShards},
	audit.FlawShardOverfull:   {action: leaveAlone, remark: ": the shard can be read without an index"},
	CodeIndexMissing:          {action: restoreIndex},
	CodeIndexLength:           {action: restoreIndex},
	CodeIndexDamaged:          {action: restoreIndex},
	CodeIndexMismatch:         {action: forgetIndex},
	CodeStoreMarker:           {action: restoreMarker},
	CodeStoreElsewhere:        {action: leaveAlone},
	CodeStoreTemporary:        {action: removeFile},
	CodeStoreTrash: {
		action: leaveAlone,
		remark: ": guppy gc --yes, or the next run that prepares, restores it if the store needs it, and else removes it",
	},
	CodeStoreStray:    {action: leaveAlone, remark: strayRemark},
	CodeStoreAside:    {action: leaveAlone, remark: ": guppy gc --strays --yes removes it"},
	CodeShardMissing:  {action: salvageShard},
	CodeShardLength:   {action: salvageShard},
	CodeShardDamaged:  {action: salvageShard},
	CodeShardUnmade:   {action: prepareAgain},
	CodeNodeMismatch:  {action: remakeShard},
	CodePieceMismatch: {action: computePiece},
	CodeBlockMissing:  {action: restoreBlocks},
	CodeRootMismatch:  {action: remakeRoots, remark: "; the file is planned again if its content is in doubt"},
	CodeDAGRoot:       {action: reopenUpload},
	CodeKeyUnnamed:    {action: leaveAlone, remark: ": remove it by hand if no repository or backup has the space"},
	CodeCopyMissing:   {action: restoreCopy},
	CodeCopyLength:    {action: restoreCopy},
	CodeCopyDamaged:   {action: restoreCopy},
	CodeReplicaLacks:  {action: fillReplica, remark: ", as by the workers or guppy store sync"},
	CodeDAGUnknown:    {action: leaveAlone, remark: " before the other problems are repaired"},
}

const strayRemark = ": guppy gc --strays --yes removes it, if it belongs to no other repository"

// advice says what a user can do about each problem of a store, by code. The check of a store repairs nothing
// itself.
var advice = map[string]string{
	CodeStoreMarker:     "guppy check --repair --yes restores it",
	CodeStoreAside:      "nothing" + strayRemark,
	CodeStoreStray:      "nothing" + strayRemark,
	CodeStoreForeign:    "nothing",
	CodeStoreUnfinished: "guppy gc --yes removes it",
	CodeReplicaLacks:    "guppy check --replicas --repair --yes copies them there, as do workers or guppy store sync",
}

// blobAdvice says what a user can do about a blob that is missing or wrong. It depends on whether the store is to have
// the blob, and whether it is recorded: a replica may have a bad file of which no good one was found.
func (r *storeRun) blobAdvice(code string, expected expectedBlob, known, needed bool) string {
	command := "guppy check"
	if code == CodeBlobDamaged {
		command += " --read-data"
	}

	switch {
	case r.Repo == nil:
		return "remove what is there under this name, and copy it again from the store that this is a copy of"
	case !needed:
		return "nothing" + strayRemark
	case !known || expected.size == anySize:
		return command + " --replicas --repair --yes copies it from another store"
	}
	return command + " --repair --yes copies it from another store; if none has it, " + command +
		" --repair --give-up --yes gives it up, and it is packed again"
}
