package storetest

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
)

// Subject is a kind of store to test.
type Subject struct {
	// New makes an empty store. The function that it returns opens the store any number of times, as if from
	// several processes.
	New func(t *testing.T) (open func() store.Store)
	// Keeps is true if the store keeps bytes. Identity is the store's identity if all stores of the kind have the
	// same.
	Keeps    bool
	Identity string
}

// large is the length of a blob that no store sends as a whole.
const large = 8<<20 + 7

// Run tests that a store does what store.Store promises.
func Run(t *testing.T, subject Subject) {
	for name, test := range map[string]func(*fixture){
		"WhatIsCommittedIsRead":        (*fixture).whatIsCommittedIsRead,
		"NothingIsSeenBefore":          (*fixture).nothingIsSeenBefore,
		"CommitAgain":                  (*fixture).commitAgain,
		"CommitAfterRemoval":           (*fixture).commitAfterRemoval,
		"AbortEnds":                    (*fixture).abortEnds,
		"UnfinishedByOwner":            (*fixture).unfinishedByOwner,
		"DiscardTakesNothingElse":      (*fixture).discardTakesNothingElse,
		"CommitAfterDiscard":           (*fixture).commitAfterDiscard,
		"OneIdentity":                  (*fixture).oneIdentity,
		"MarkGivesNoOtherIdentity":     (*fixture).markGivesNoOther,
		"NamesThatAreNone":             (*fixture).namesThatAreNone,
		"OddNames":                     (*fixture).oddNames,
		"OwnersThatAreNone":            (*fixture).ownersThatAreNone,
		"RemovedAndSetAside":           (*fixture).removedAndSetAside,
		"ManyAreListed":                (*fixture).manyAreListed,
		"ContextsEnd":                  (*fixture).contextsEnd,
		"ManyAtOnce":                   (*fixture).manyAtOnce,
		"TrashIsReadUntilItIsDeleted":  (*fixture).trashIsRead,
		"TrashIsRestored":              (*fixture).trashIsRestored,
		"TrashIsEndedAgain":            (*fixture).trashIsEndedAgain,
		"ALateDeletionTakesNothingNew": (*fixture).lateDeletion,
		"ReadAtRandom":                 (*fixture).readAtRandom,
		"OneThatStagesAgainSendsIt":    (*fixture).stageAgain,
	} {
		t.Run(name, func(t *testing.T) {
			open := subject.New(t)
			test(&fixture{T: t, Subject: subject, open: open, Store: open()})
		})
	}
}
