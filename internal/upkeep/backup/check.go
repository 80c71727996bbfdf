package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// ErrUnproven is returned for a backup that carries no digests.
var ErrUnproven = errors.New("the backup can't be checked: an older guppy made it, without digests")

// Check reads all of a backup, whatever the version of its schema, and returns what the backup says it holds. It
// returns ErrDamaged for a backup that holds something else, ErrUnproven for one without digests, fs.ErrNotExist for
// a file that is not there, and ErrNoBackup for a file of another kind. It calls progress, unless that is nil.
func Check(ctx context.Context, path string, progress copying.Progress) (manifest dialect.Manifest, err error) {
	archive, err := sqlite.IsArchive(path)
	if err == nil && !archive {
		err = fmt.Errorf("%s: %w", path, ErrNoBackup)
	}
	if err != nil {
		return manifest, err
	}

	at, status, err := look(ctx, path)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, ErrNoBackup), ctx.Err() != nil:
		return manifest, err
	case err != nil:
		return manifest, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}

	db, err := dialect.Open(ctx, at)
	if err != nil {
		return manifest, damaged(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	manifest, err = readManifest(ctx, db, status)
	if err == nil {
		err = copying.New(sqlrepo.New(db)).Reporting(progress).CheckManifest(ctx, manifest.Tables)
	}

	// The pages are checked even without a manifest: damage is the more important finding.
	unsealed := errors.Is(err, sqlite.ErrNoManifest)
	if err == nil || unsealed {
		if progress != nil {
			progress(copying.TransferProgress{Checking: true})
		}
		err = sqlite.CheckArchive(ctx, db)
	}

	switch {
	case ctx.Err() != nil:
		return manifest, errors.Join(ctx.Err(), err)
	case err != nil:
		return manifest, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	case unsealed && status.Empty:
		return manifest, fmt.Errorf("%s: %w", path, ErrNoBackup)
	case unsealed:
		return manifest, fmt.Errorf("%s: %w", path, ErrUnproven)
	}
	return manifest, nil
}
