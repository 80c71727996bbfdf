package check

import "github.com/guppy-prep/guppy/sqlrepo"

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
	sqlrepo.FlawCounter:         {action: raiseCounters},
	sqlrepo.FlawSourceOrphan:    {action: deleteOrphans},
	sqlrepo.FlawUploadOrphan:    {action: deleteOrphans},
	sqlrepo.FlawEntryOrphan:     {action: deleteOrphans},
	sqlrepo.FlawShardOrphan:     {action: deleteOrphans},
	sqlrepo.FlawSegmentOrphan:   {action: deleteOrphans},
	sqlrepo.FlawNodeOrphan:      {action: deleteOrphans},
	sqlrepo.FlawRootOrphan:      {action: deleteOrphans},
	sqlrepo.FlawSpaceRevision:   {action: raiseRevision},
	sqlrepo.FlawUploadState:     {action: settleUpload},
	sqlrepo.FlawUploadRoot:      {action: settleUpload},
	sqlrepo.FlawUploadFinished:  {action: settleUpload},
	sqlrepo.FlawUploadUnlinked:  {action: relinkUpload},
	sqlrepo.FlawUploadCounts:    {action: recountRows},
	sqlrepo.FlawTallyEntries:    {action: recountRows},
	sqlrepo.FlawTallyShards:     {action: recountRows},
	sqlrepo.FlawTallySegments:   {action: recountRows},
	sqlrepo.FlawTallySealed:     {action: recountRows},
	sqlrepo.FlawLeaseTorn:       {action: clearLeases},
	sqlrepo.FlawLeaseTime:       {action: clearLeases},
	sqlrepo.FlawLeaseIdle:       {action: clearLeases},
	sqlrepo.FlawEntryKind:       {action: rescanEntry},
	sqlrepo.FlawEntryState:      {action: rescanEntry},
	sqlrepo.FlawEntryUnsettled:  {action: reopenUpload},
	sqlrepo.FlawEntryUnlinked:   {action: remakeRoots, otherwise: relinkUpload},
	sqlrepo.FlawRootStray:       {action: forgetRoot},
	sqlrepo.FlawRootMalformed:   {action: forgetRoot},
	sqlrepo.FlawOriginLost:      {action: detachFile},
	sqlrepo.FlawOriginRoot:      {action: remakeRoots, otherwise: detachFile},
	sqlrepo.FlawSegmentStray:    {action: forgetSegments},
	sqlrepo.FlawSegmentShard:    {action: replanFile},
	sqlrepo.FlawSegmentShape:    {action: replanFile},
	sqlrepo.FlawSegmentGap:      {action: replanFile},
	sqlrepo.FlawSegmentOverlap:  {action: replanFile},
	sqlrepo.FlawSegmentBeyond:   {action: replanFile},
	sqlrepo.FlawSegmentChunk:    {action: replanFile},
	sqlrepo.FlawShardKind:       {action: remakeShard},
	sqlrepo.FlawShardFields:     {action: remakeShard},
	sqlrepo.FlawShardDigests:    {action: countChunks},
	sqlrepo.FlawShardContent:    {action: sumContent},
	sqlrepo.FlawShardUnpacked:   {action: reopenUpload},
	sqlrepo.FlawShardSize:       {action: remakeShard},
	sqlrepo.FlawShardPiece:      {action: computePiece},
	sqlrepo.FlawNodeCount:       {action: remakeShard},
	sqlrepo.FlawNodeGap:         {action: remakeShard},
	sqlrepo.FlawNodeOverlap:     {action: remakeShard},
	sqlrepo.FlawNodeCodec:       {action: remakeShard},
	sqlrepo.FlawNodeDigest:      {action: remakeShard},
	sqlrepo.FlawBlockTwice:      {action: remakeShard},
	sqlrepo.FlawIndexOrphan:     {action: deleteOrphans},
	sqlrepo.FlawIndexFields:     {action: forgetIndex},
	sqlrepo.FlawIndexShards:     {action: forgetIndex},
	sqlrepo.FlawIndexRoot:       {action: forgetIndex},
	sqlrepo.FlawShardIndex:      {action: forgetIndex},
	sqlrepo.FlawShardUnindexed:  {action: indexShards},
	sqlrepo.FlawUploadUnindexed: {action: indexShards},
	sqlrepo.FlawShardOverfull:   {action: leaveAlone, remark: ": the shard can be read without an index"},
	CodeIndexMissing:            {action: forgetIndex},
	CodeIndexLength:             {action: forgetIndex},
	CodeIndexLocation:           {action: forgetIndex},
	CodeIndexDamaged:            {action: forgetIndex},
	CodeIndexMismatch:           {action: forgetIndex},
	CodeStoreMarker:             {action: restoreMarker},
	CodeStoreElsewhere:          {action: leaveAlone},
	CodeStoreTemporary:          {action: removeFile},
	CodeStoreTrash: {
		action: leaveAlone,
		remark: ": guppy gc --yes, or the next run that prepares, restores it if a row names it, and else removes it",
	},
	CodeStoreStray:    {action: leaveAlone, remark: strayRemark},
	CodeStoreAside:    {action: leaveAlone, remark: ": guppy gc --strays removes it"},
	CodeShardMissing:  {action: salvageShard},
	CodeShardLength:   {action: salvageShard},
	CodeShardDamaged:  {action: salvageShard},
	CodeShardLocation: {action: setLocation},
	CodeShardUnmade:   {action: prepareAgain},
	CodeNodeMismatch:  {action: remakeShard},
	CodePieceMismatch: {action: computePiece},
	CodeBlockMissing:  {action: restoreBlocks},
	CodeRootMismatch:  {action: remakeRoots, remark: "; the file is planned again if its content is in doubt"},
	CodeDAGRoot:       {action: reopenUpload},
	CodeKeyUnnamed:    {action: leaveAlone, remark: ": remove it by hand if no repository or backup has the space"},
	CodeDAGUnknown:    {action: leaveAlone, remark: " before the other problems are repaired"},
}

const (
	strayRemark = ": guppy gc --strays removes it, if it belongs to no other repository"
	strayAdvice = "nothing" + strayRemark
	awayAdvice  = "guppy check --repair --yes sets it aside, and it is packed again; or copy it from elsewhere"
)

// advice says what a user can do about each problem of a store, by code. The check of a store repairs nothing
// itself.
var advice = map[string]string{
	CodeStoreMarker:  "guppy check --repair --yes, or guppy store copy from a store that has it",
	CodeStoreAside:   strayAdvice,
	CodeStoreStray:   strayAdvice,
	CodeStoreForeign: "nothing",
	CodeBlobMissing: "guppy store copy from a store that has it; " +
		"without one, guppy check --repair --yes, and it is packed again",
	CodeBlobLength:      awayAdvice,
	CodeBlobDamaged:     awayAdvice,
	CodeStoreUnfinished: "guppy gc --yes removes it",
}
