// Package backup writes a whole repository to one SQLite file, whatever its engine, and restores it.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// Options configure a backup.
type Options struct {
	// Overwrite replaces an existing file.
	Overwrite bool
	// Progress, if not nil, is called as the backup proceeds.
	Progress copying.Progress
}

// Write writes the whole content of the repository, as it is at one moment, to a single file. Workers go on
// meanwhile; in the backup, no worker holds a lease. The file gets its name only when it is complete, durable and
// checked. If Write fails before that, there is no file, but the directory FILE.partial may stay beside it until the
// next backup there removes it. Write returns fs.ErrExist for a file that exists and may not be replaced,
// ErrNoBackup for a file that can't be a backup, and ErrUnderWay while another process writes the same file.
func Write(ctx context.Context, repo *sqlrepo.Repository, path string, o Options) (content copying.Content, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := replaceable(path, o.Overwrite); err != nil {
		return nil, err
	}

	work, err := takeWorkspace(path + partialSuffix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.remove()) }()
	_ = Sweep(filepath.Dir(path)) // leftovers that can't be removed do no harm
	file := work.file()

	// Not every engine can copy pages. Without that, the rows are transferred.
	content, err = copying.New(repo).CopyFile(ctx, file, o.Progress)
	switch {
	case err == nil:
		err = checkCopy(ctx, file, content, o.Progress)
	case errors.Is(err, errors.ErrUnsupported):
		content, err = transfer(ctx, repo, file, o)
	}
	if err != nil {
		return nil, err
	}

	// The manifest is part of the file, and therefore comes before the file is finished.
	if err := manifest(ctx, file, content); err != nil {
		return nil, err
	}
	if o.Progress != nil {
		o.Progress(copying.TransferProgress{Checking: true})
	}
	if err := sqlite.FinishFile(ctx, file); err != nil {
		return nil, err
	}
	return content, publish(file, path, o.Overwrite)
}

// replaceable returns an error if a backup must not take the place of the file.
func replaceable(path string, overwrite bool) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}

	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: it is not a file", path, ErrNoBackup)
	}
	if !overwrite {
		return &fs.PathError{Op: "back up to", Path: path, Err: fs.ErrExist}
	}

	archive, err := sqlite.IsArchive(path)
	if err == nil && !archive {
		err = fmt.Errorf("%s: %w, so it is not replaced", path, ErrNoBackup)
	}
	return err
}

// publish gives a file its name. Unlike a rename, a link fails when the name is taken.
func publish(file, path string, overwrite bool) error {
	give := os.Link
	if overwrite {
		give = os.Rename
	}
	err := give(file, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = os.Rename(file, path) // the file system has no links
	}
	if err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(path))
}

// transfer fills a new file row by row.
func transfer(ctx context.Context, repo *sqlrepo.Repository, file string,
	o Options) (content copying.Content, err error) {
	err = withFile(ctx, file, func(target *sqlrepo.Repository) (err error) {
		content, err = copying.New(repo).TransferTo(ctx, target, copying.Transfer{AllowLive: true, Progress: o.Progress})
		return err
	})
	return content, err
}

// manifest writes into the file what it holds.
func manifest(ctx context.Context, file string, content copying.Content) error {
	status, err := migrate.New(settings(file)).Status(ctx)
	if err != nil {
		return err
	}
	return sqlite.WriteManifest(ctx, file, dialect.Manifest{Version: status.Current, Tables: content.Manifest()})
}

// checkCopy removes the leases that a copy of pages has, and compares its content with the content that was copied.
func checkCopy(ctx context.Context, file string, want copying.Content, progress copying.Progress) error {
	return withFile(ctx, file, func(target *sqlrepo.Repository) error {
		copied := copying.New(target).Reporting(comparing(progress))
		if err := copied.ReleaseAll(ctx); err != nil {
			return err
		}
		got, err := copied.Content(ctx)
		if err != nil {
			return err
		}
		return copying.SameContent(got, want)
	})
}

// comparing returns a progress that says that a copy is compared with its original.
func comparing(progress copying.Progress) copying.Progress {
	if progress == nil {
		return nil
	}
	return func(p copying.TransferProgress) {
		p.Comparing = true
		progress(p)
	}
}

// withFile opens a repository with the present schema, in a file that no other process knows.
func withFile(ctx context.Context, file string, use func(*sqlrepo.Repository) error) (err error) {
	db, _, err := migrate.New(settings(file)).Open(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return use(sqlrepo.New(db))
}

// settings returns the settings for a file that no other process knows.
func settings(file string) dialect.Settings {
	return settingsWith(file, sqlite.Options{AllowNetworkFilesystem: true, Alone: true})
}

// readOnly returns the settings for a file that is not changed.
func readOnly(file string) dialect.Settings {
	return settingsWith(file, sqlite.Options{AllowNetworkFilesystem: true, ReadOnly: true})
}

func settingsWith(file string, options sqlite.Options) dialect.Settings {
	return dialect.Settings{Type: sqlite.Name, URL: dialect.Secret(file), Options: []any{options}}
}
