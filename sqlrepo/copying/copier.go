// Package copying copies a repository, to another database or to a file, and proves that the copy is the same.
package copying

import (
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Copier copies a repository. It is safe for concurrent use.
type Copier struct {
	db *core.DB
	// progress may be nil.
	progress Progress
}

// New returns a Copier for a repository.
func New(repo *sqlrepo.Repository) *Copier { return &Copier{db: repo.DB()} }

// Reporting returns a Copier that calls progress, unless that is nil, while it reads what the repository holds: to dump
// it, to sum it up, or to compare it with a manifest.
func (c *Copier) Reporting(progress Progress) *Copier { return &Copier{db: c.db, progress: progress} }
