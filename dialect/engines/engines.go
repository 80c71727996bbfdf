// Package engines registers all engines with package dialect. Programs import it for that effect.
package engines

import (
	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
)

func init() {
	dialect.Register(
		postgres.Engine{},
		sqlite.Engine{}, // it takes any path, so the others are asked first
	)
}
