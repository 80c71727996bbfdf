package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrNoBackup is returned for a file that guppy backup has not made.
var ErrNoBackup = errors.New("it is not a backup")

// Archive is a backup that is open to be restored. Close it when done.
type Archive struct {
	db *dialect.DB
	// scratch is where a copy with the present schema is, "" if the backup has that itself.
	scratch string
}

// Open opens a backup, which stays as it is: one with an older schema is brought up to date in a copy below a
// directory. It returns fs.ErrNotExist for a file that is not there, ErrNoBackup for one of another kind, and
// migrate.ErrNewer for one with a schema that this program doesn't know.
func Open(ctx context.Context, path, dir string) (*Archive, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is no file", path, ErrNoBackup)
	}
	at := settings(path)
	at.Alone, at.ReadOnly = false, true
	status, err := migrate.New(at).Status(ctx)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", path, ErrNoBackup, err)
	case status.Empty || status.Dirty:
		return nil, fmt.Errorf("%s: %w: it has no whole schema", path, ErrNoBackup)
	case status.Current > status.Required:
		return nil, fmt.Errorf("%s: %w: version %d, this program needs %d; restore it with the guppy that made it, or a later "+
			"one", path, migrate.ErrNewer, status.Current, status.Required)
	case status.Current < status.Required:
		return openCopy(ctx, path, dir)
	}
	db, err := dialect.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	return &Archive{db: db}, nil
}

func openCopy(ctx context.Context, path, dir string) (_ *Archive, err error) {
	scratch, err := os.MkdirTemp(dir, "restore-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(scratch, workFile)
	var db *dialect.DB
	if err = copyFile(path, file); err == nil {
		db, _, err = migrate.New(settings(file)).Open(ctx, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bring a copy of the backup up to date: %w", err), os.RemoveAll(scratch))
	}
	return &Archive{db, scratch}, nil
}

// Restore copies the backup into an empty repository with the present schema. It returns what TransferTo does.
func (a *Archive) Restore(ctx context.Context, target *sqlrepo.Repository,
	progress sqlrepo.Progress) (sqlrepo.Content, error) {
	return sqlrepo.New(a.db).TransferTo(ctx, target, sqlrepo.Transfer{AllowLive: true, Progress: progress})
}

// Close closes the backup and removes what was made to read it.
func (a *Archive) Close() error {
	err := a.db.Close()
	if a.scratch != "" {
		err = errors.Join(err, os.RemoveAll(a.scratch))
	}
	return err
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
