package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

var (
	// ErrNoBackup is returned for a file that is not a backup made by guppy.
	ErrNoBackup = errors.New("not a backup")
	// ErrDamaged is returned for a backup whose content differs from what was written to it.
	ErrDamaged = errors.New("the backup is damaged")
)

// Archive is an open backup, ready to be restored. The caller must close it.
type Archive struct {
	// Unproven is true if an older guppy made the backup, without digests that its rows could be compared with.
	Unproven bool

	db *dialect.DB
	// expected is what the backup must hold, nil if that was compared already or can't be compared.
	expected copying.Content
	// scratch holds a copy with the present schema, nil if the backup itself has the present schema.
	scratch *workspace
}

// Open opens a backup, which stays as it is. A backup with an older schema is copied below dir, and the copy is
// brought up to date. Open returns fs.ErrNotExist for a file that is not there, ErrNoBackup for a file of another
// kind, and migrate.ErrNewer for a schema that this program doesn't know. It calls progress, unless that is nil, while
// it compares rows.
func Open(ctx context.Context, path, dir string, progress copying.Progress) (*Archive, error) {
	at, status, err := look(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNoBackup):
		return nil, err
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", path, ErrNoBackup, err)
	case status.Empty || status.Dirty:
		return nil, fmt.Errorf("%s: %w: its schema is not complete", path, ErrNoBackup)
	case status.Current > status.Required:
		return nil, fmt.Errorf("%s: %w: version %d, this program needs %d; restore it with the guppy that made "+
			"it, or a later one", path, migrate.ErrNewer, status.Current, status.Required)
	case status.Current < status.Required:
		return openCopy(ctx, path, dir, status, progress)
	}

	// The schema is the present one: the backup can be read in place.
	db, err := dialect.Open(ctx, at)
	if err != nil {
		return nil, err
	}

	a := &Archive{db: db}
	if a.expected, err = a.manifest(ctx, status, progress); err != nil {
		return nil, errors.Join(damaged(path, err), db.Close())
	}
	return a, nil
}

// look reads the version of the schema. It opens the file as one that no process writes to.
func look(ctx context.Context, path string) (at dialect.Settings, status migrate.Status, err error) {
	if info, err := os.Stat(path); err != nil {
		return at, status, err
	} else if !info.Mode().IsRegular() {
		return at, status, fmt.Errorf("%s: %w: it is not a file", path, ErrNoBackup)
	}
	at = readOnly(path)
	status, err = migrate.New(at).Status(ctx)
	return at, status, err
}

// manifest returns what the rows are compared with while they are copied. If the backup's manifest is of other columns
// than those that are copied, manifest compares the rows at once and returns nil.
func (a *Archive) manifest(ctx context.Context, status migrate.Status,
	progress copying.Progress) (copying.Content, error) {
	manifest, err := readManifest(ctx, a.db, status)
	if errors.Is(err, sqlite.ErrNoManifest) {
		a.Unproven = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	expected, present := copying.Expected(manifest.Tables)
	if present {
		return expected, nil
	}
	return nil, copying.New(sqlrepo.New(a.db)).Reporting(progress).CheckManifest(ctx, manifest.Tables)
}

// readManifest reads the manifest of a backup. It returns sqlite.ErrDamaged if the manifest is of another version of
// the schema than the file.
func readManifest(ctx context.Context, db *dialect.DB, status migrate.Status) (dialect.Manifest, error) {
	manifest, err := sqlite.ReadManifest(ctx, db)
	if err == nil && (status.Dirty || status.Current != manifest.Version) {
		err = fmt.Errorf("%w: its schema has version %d, dirty: %t, instead of %d", sqlite.ErrDamaged, status.Current,
			status.Dirty, manifest.Version)
	}
	return manifest, err
}

// damaged adds ErrDamaged to an error that a sound backup would not have caused.
func damaged(path string, err error) error {
	if errors.Is(err, copying.ErrDifferent) || sqlite.IsDamage(err) {
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	return err
}

func openCopy(ctx context.Context, path, dir string, status migrate.Status,
	progress copying.Progress) (_ *Archive, err error) {
	_ = Sweep(dir) // leftovers that can't be removed do no harm
	scratch, err := takeWorkspace(filepath.Join(dir, restorePrefix+rand.Text()))
	if err != nil {
		return nil, err
	}

	file := scratch.file()
	a := &Archive{scratch: scratch}
	if err = copyFile(path, file); err == nil {
		err = a.compareCopy(ctx, path, file, status, progress)
	}

	// The rows were compared above: from here on the schema may change.
	if err == nil {
		a.db, _, err = migrate.New(settings(file)).Open(ctx, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrate a copy of the backup: %w", err), scratch.remove())
	}
	return a, nil
}

// compareCopy compares the rows with the manifest before the schema changes: the digests are of the columns that the
// backup was made with.
func (a *Archive) compareCopy(ctx context.Context, path, file string, status migrate.Status,
	progress copying.Progress) (err error) {
	at := readOnly(file)
	if a.db, err = dialect.Open(ctx, at); err != nil {
		return err
	}
	_, err = a.manifest(ctx, status, progress)
	return errors.Join(damaged(path, err), a.db.Close())
}

// Restore copies the backup into an empty repository with the present schema. It returns the same errors as
// TransferTo. For a backup whose rows differ from those written to it, it returns ErrDamaged before anything is
// committed.
func (a *Archive) Restore(ctx context.Context, target *sqlrepo.Repository,
	progress copying.Progress) (copying.Content, error) {
	content, err := copying.New(sqlrepo.New(a.db)).TransferTo(ctx, target,
		copying.Transfer{AllowLive: true, Progress: progress, Expected: a.expected})
	return content, damaged(a.db.Location(), err)
}

// Close closes the backup and removes the files that were made to read it.
func (a *Archive) Close() error {
	err := a.db.Close()
	if a.scratch != nil {
		err = errors.Join(err, a.scratch.remove())
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
