// Package copying copies a repository, to another database or to a file, and proves that the copy is the same.
package copying

import (
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Copier copies a repository. It is safe for concurrent use.
type Copier struct{ db *core.DB }

// New returns a Copier for a repository.
func New(repo *sqlrepo.Repository) *Copier { return &Copier{repo.DB()} }
