// Package audit finds rows of a repository that contradict each other, and mends them.
package audit

import (
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Auditor finds flaws in the rows of a repository, and mends them. It is safe for concurrent use.
//
// The methods that mend have a transaction of their own each, and may be called again. None is fenced: the caller holds
// the lock of Repository.LockAll, and has called Repository.AtWork.
type Auditor struct {
	repo *sqlrepo.Repository
	db   *core.DB
	// progress may be nil.
	progress func(Progress)
}

// New returns an Auditor for a repository.
func New(repo *sqlrepo.Repository) *Auditor { return &Auditor{repo: repo, db: repo.DB()} }

// Progress is how far a check of rows is.
type Progress struct {
	// Doing says what is checked. Item is the singular of what Done and Total count.
	Doing, Item string
	Done, Total int64
}

// Reporting returns an Auditor that calls progress as CheckRows goes on.
func (a *Auditor) Reporting(progress func(Progress)) *Auditor {
	return &Auditor{repo: a.repo, db: a.db, progress: progress}
}

func (a *Auditor) report(p Progress) {
	if a.progress != nil {
		a.progress(p)
	}
}
