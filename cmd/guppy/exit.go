package main

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// The exit codes.
const (
	exitComplete    = 0
	exitFailure     = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitDatabase    = 4
	exitInterrupted = 130
)

const exitHelp = `
Exit codes:
  0    complete
  1    failure
  2    wrong usage or configuration
  3    some entries could not be prepared or retrieved, work was set aside, or a
       check (also of a backup) found problems
  4    the database cannot be used: it can't be reached, has the wrong schema
       version, is not empty where it must be, or is in use by others
  130  interrupted
`

var (
	// errUsage marks errors of the command line.
	errUsage = errors.New("usage")
	// errIncomplete marks an upload that stays incomplete because of some entries.
	errIncomplete = errors.New("entries could not be prepared")
)

var usageErrors = []error{
	errUsage, config.ErrInvalid, dialect.ErrSettings, source.ErrBadPattern, source.ErrBadSymlinkPolicy,
	source.ErrOwnFiles, shard.ErrTooSmall, sqlrepo.ErrRecipe, sqlrepo.ErrOtherStore, store.ErrBadURL, mirror.ErrNoStore,
	mirror.ErrOther, mirror.ErrForeign, copying.ErrSameDatabase, migrate.ErrTarget, migrate.ErrName, errKeepsNothing,
}

// absences are errors of an upload that this host can't work on. Their causes may be among the other errors.
var absences = []error{source.ErrAbsent, store.ErrAbsent, pipeline.ErrSkipped}

var databaseErrors = []error{
	sqlrepo.ErrLocked, sqlrepo.ErrLockLost, sqlrepo.ErrAtWork, sqlrepo.ErrUnavailable, sqlrepo.ErrUnusable,
	sqlrepo.ErrConflict, sqlrepo.ErrLeaseLost, sqlrepo.ErrRewound,
	copying.ErrSourceInUse, copying.ErrNotEmpty,
	migrate.ErrOlder, migrate.ErrNewer, migrate.ErrDirty, migrate.ErrForeign, migrate.ErrBusy, migrate.ErrPooled,
	errDatabase,
}

// exitCode maps an error to an exit code. No other place does.
func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitComplete
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, errOutput), isAny(err, absences):
		return exitFailure
	case isAny(err, usageErrors):
		return exitUsage
	case errors.Is(err, errIncomplete), errors.Is(err, errUnsound), errors.Is(err, delivery.ErrDiffers),
		errors.Is(err, errLost), errors.Is(err, backup.ErrDamaged), errors.Is(err, pipeline.ErrSetAside):
		return exitIncomplete
	case isAny(err, databaseErrors):
		return exitDatabase
	}
	return exitFailure
}

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
