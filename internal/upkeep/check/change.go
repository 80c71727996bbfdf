package check

import "fmt"

// change is something that a repair does at most once: a kind of change and its subject. The repair uses it as a key
// to remember the change.
type change struct {
	kind changeKind
	// subject is the key of a row or the name of a file. It is nil for changes to the whole repository or store.
	subject any
}

// String returns the change in the words that a repair prints.
func (c change) String() string {
	if c.subject == nil {
		return changeTexts[c.kind]
	}
	return fmt.Sprintf(changeTexts[c.kind], c.subject)
}

type changeKind int

const (
	countersSet changeKind = iota
	orphansDeleted
	revisionsRaised
	markerRestored
	fileRemoved
	leasesCleared
	stopForgotten
	stateSet
	rowsCounted
	replicasCounted
	uploadIncomplete
	uploadReopened
	uploadLinked
	uploadWaits
	contentSummed
	chunksCounted
	shardReset
	pieceSet
	indexForgotten
	indexRestored
)

var changeTexts = [...]string{
	countersSet:      "the counters were set",
	orphansDeleted:   "orphaned rows were deleted",
	revisionsRaised:  "the revisions of spaces were raised",
	markerRestored:   "a store got its identity back: %s",
	fileRemoved:      "%s was removed",
	leasesCleared:    "upload %d: its leases were cleared",
	stopForgotten:    "upload %d: it was forgotten why a run of it stopped",
	stateSet:         "upload %d: its state was set",
	replicasCounted:  "what replicas lack was counted",
	rowsCounted:      "upload %d: its rows were counted",
	uploadIncomplete: "upload %d: it is incomplete, and there is a newer upload",
	uploadReopened:   "upload %d: it is unfinished; guppy status %[1]d prints the command that continues it",
	uploadLinked:     "upload %d: it was linked again",
	uploadWaits: "upload %d: lost content may come back when newer uploads are complete (guppy status prints the " +
		"commands that continue them); then guppy check --repair --yes lists what is missing",
	contentSummed:  "shard %d: its content was summed up",
	chunksCounted:  "shard %d: its chunks were counted",
	shardReset:     "shard %d: it has no file, and is reset",
	pieceSet:       "shard %d: its piece CID was set",
	indexForgotten: "index %d was deleted",
	indexRestored:  "index %d: its file was written again",
}

// once makes a change unless it was made before, and reports the change to Did.
func (m *mending) once(c change, apply func() error) (bool, error) {
	if m.tried[c] {
		return false, nil
	}
	m.tried[c] = true
	if err := apply(); err != nil {
		return false, fmt.Errorf("%s: %w", c, err)
	}
	return true, m.Did(c.String())
}

// did reports to Did a change that may be made more than once.
func (m *mending) did(format string, args ...any) error { return m.Did(fmt.Sprintf(format, args...)) }

// changed notes that the rows of an upload differ from the last count, so that they may be counted once more.
func (m *mending) changed(upload int64) { delete(m.tried, change{rowsCounted, upload}) }
