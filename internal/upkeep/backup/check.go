package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrUnproven is returned for a backup that carries no digests.
var ErrUnproven = errors.New("the backup can't be checked: an older guppy made it, without digests")

// Check reads all of a backup, whatever the version of its schema, and returns what the backup says it holds. It
// returns ErrDamaged for a backup that holds something else, ErrUnproven for one without digests, fs.ErrNotExist for
// a file that is not there, and ErrNoBackup for a file of another kind.
func Check(ctx context.Context, path string) (seal dialect.Seal, err error) {
	archive, err := sqlite.IsArchive(path)
	if err == nil && !archive {
		err = fmt.Errorf("%s: %w", path, ErrNoBackup)
	}
	if err != nil {
		return seal, err
	}

	at, status, err := look(ctx, path)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, ErrNoBackup), ctx.Err() != nil:
		return seal, err
	case err != nil:
		return seal, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}

	db, err := dialect.Open(ctx, at)
	if err != nil {
		return seal, damaged(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	seal, err = readSeal(ctx, db, status)
	if err == nil {
		err = sqlrepo.New(db).CheckSealed(ctx, seal.Tables)
	}

	// The pages are checked even without a seal: damage is the more important finding.
	unsealed := errors.Is(err, sqlite.ErrNoSeal)
	if err == nil || unsealed {
		err = sqlite.CheckArchive(ctx, db)
	}

	switch {
	case ctx.Err() != nil:
		return seal, errors.Join(ctx.Err(), err)
	case err != nil:
		return seal, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	case unsealed && status.Empty:
		return seal, fmt.Errorf("%s: %w", path, ErrNoBackup)
	case unsealed:
		return seal, fmt.Errorf("%s: %w", path, ErrUnproven)
	}
	return seal, nil
}
