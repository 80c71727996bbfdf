package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// trashName is the directory, inside the store's, of blobs whose removal has begun. Each blob has a unique name
// there, so that a removal finds that one blob or nothing, however late it is.
const trashName = ".guppy-trash"

// trashMark separates the name and the owner of a blob in the trash.
const trashMark = "~"

// trashTries limits how often the trash is made again after others removed it because it was empty.
const trashTries = 10

// Trash moves a blob into the trash.
func (d *Directory) Trash(ctx context.Context, owner, name string) (Trashed, error) {
	if err := errors.Join(checkName(name), checkOwner(owner), ctx.Err()); err != nil {
		return Trashed{}, d.failure(err)
	}

	key := fmt.Sprintf("%s%s%s-%d", name, trashMark, owner, rand.Uint64()) //nolint:gosec // it only has to differ

	moved, err := d.moveToTrash(filepath.Join(d.path, name), d.inTrash(key))
	if err != nil {
		return Trashed{}, d.failure(err)
	}

	if !moved {
		return Trashed{}, nil
	}
	return Trashed{Owner: owner, Name: name, Key: key}, nil
}

// moveToTrash renames a file, and makes the trash if necessary. It returns false if the file does not exist.
func (d *Directory) moveToTrash(from, to string) (moved bool, err error) {
	for range trashTries {
		if err = os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}

		// A file server may give this error if it has renamed the file already and its answer was lost.
		if _, moved := os.Lstat(to); moved == nil {
			return true, nil
		}

		if _, statErr := os.Lstat(from); errors.Is(statErr, fs.ErrNotExist) {
			return false, nil
		}

		if err := d.makeTrash(); err != nil {
			return false, err
		}
	}

	return false, err
}

// makeTrash makes the trash for everybody who may use the store. If the file system has no modes, that is
// everybody.
func (d *Directory) makeTrash() error {
	path := filepath.Join(d.path, trashName)
	err := os.Mkdir(path, durable.SharedDirectory)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}

	info, statErr := os.Stat(d.path)
	if err := errors.Join(err, statErr); err != nil {
		return err
	}

	_ = os.Chmod(path, info.Mode()&(fs.ModePerm|fs.ModeSetgid))
	return nil
}

func (d *Directory) inTrash(key string) string { return filepath.Join(d.path, trashName, key) }

// Trashed returns the blobs of an owner in the trash, or of all owners if owner is "".
func (d *Directory) Trashed(ctx context.Context, owner string) (found []Trashed, err error) {
	if err := ctx.Err(); err != nil {
		return nil, d.failure(err)
	}
	all, err := d.trashed()
	for _, blob := range all {
		if owner == "" || blob.Owner == owner {
			found = append(found, blob)
		}
	}
	return found, err
}

func (d *Directory) trashed() (found []Trashed, err error) {
	entries, err := os.ReadDir(filepath.Join(d.path, trashName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, d.failure(err)
	}

	// Who removed the last blob may have been killed before the directory was removed.
	if err == nil && len(entries) == 0 {
		d.removeEmptyTrash()
	}

	for _, entry := range entries {
		if blob, ok := parseTrashed(entry.Name()); ok && entry.Type().IsRegular() {
			found = append(found, blob)
		}
	}
	return found, nil
}

// parseTrashed returns the blob with this name in the trash, or false if Trash cannot have made the name.
func parseTrashed(key string) (blob Trashed, ok bool) {
	at := strings.LastIndex(key, trashMark)
	if at < 0 {
		return blob, false
	}

	name, rest := key[:at], key[at+len(trashMark):]
	dash := strings.LastIndexByte(rest, '-')
	if dash < 0 || strings.Trim(rest[dash+1:], "0123456789") != "" {
		return blob, false
	}

	return Trashed{Owner: rest[:dash], Name: name, Key: key}, checkName(name) == nil && validOwner(rest[:dash])
}

// checkTrashed returns an error for a blob that cannot be in the trash.
func checkTrashed(blob Trashed) error {
	if parsed, ok := parseTrashed(blob.Key); !ok || parsed != blob {
		return notInTrash(blob)
	}
	return nil
}

func notInTrash(blob Trashed) error {
	return fmt.Errorf("%q is not a blob of %q in the trash", blob.Key, blob.Owner)
}

// Restore gives a blob its name back, unless the same blob was committed again meanwhile.
func (d *Directory) Restore(ctx context.Context, blob Trashed) error {
	if err := errors.Join(checkTrashed(blob), ctx.Err()); err != nil {
		return d.failure(err)
	}
	if err := d.restore(d.inTrash(blob.Key), filepath.Join(d.path, blob.Name)); err != nil {
		return d.failure(err)
	}
	return d.Delete(ctx, blob)
}

// restore links the blob to its name. If the file system has hard links, the blob stays in the trash too.
func (d *Directory) restore(from, final string) error {
	err := os.Link(from, final)

	// Others have committed or restored the blob.
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err != nil {
		// The file system may have no hard links.
		if _, statErr := os.Lstat(final); statErr == nil {
			return nil
		}
		if err := os.Rename(from, final); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}

	return durable.SyncDirectory(d.path)
}

// Delete removes the file with the unique name in the trash. No other blob ever gets that name.
func (d *Directory) Delete(ctx context.Context, blob Trashed) error {
	if err := errors.Join(checkTrashed(blob), ctx.Err()); err != nil {
		return d.failure(err)
	}
	if err := removeIfThere(d.inTrash(blob.Key)); err != nil {
		return d.failure(err)
	}
	d.removeEmptyTrash()
	return nil
}

// removeEmptyTrash removes the trash. It fails as intended while the trash contains anything.
func (d *Directory) removeEmptyTrash() { _ = os.Remove(filepath.Join(d.path, trashName)) }

// SetAside moves a damaged blob out of the trash under a new name and returns that name. It is not an error if
// the blob is gone.
func (d *Directory) SetAside(ctx context.Context, blob Trashed) (aside string, err error) {
	if err := errors.Join(checkTrashed(blob), ctx.Err()); err != nil {
		return "", d.failure(err)
	}

	aside = Aside(blob.Name)
	err = os.Rename(d.inTrash(blob.Key), filepath.Join(d.path, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", d.failure(err)
	}

	d.removeEmptyTrash()
	if err := durable.SyncDirectory(d.path); err != nil {
		return "", d.failure(err)
	}
	return aside, nil
}

// Confirm looks only for the blob's own name, not in the trash.
func (d *Directory) Confirm(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return d.failure(err)
	}
	if _, err := os.Lstat(filepath.Join(d.path, name)); err != nil {
		return d.failure(err)
	}
	return nil
}

// find calls look with the path of a committed blob. A blob in the trash counts: a late removal may have put it
// there, and been killed before it could check again.
func (d *Directory) find(name string, look func(path string) error) error {
	final := filepath.Join(d.path, name)
	err := look(final)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	all, trashErr := d.trashed()
	if trashErr != nil {
		return trashErr
	}

	for _, blob := range all {
		if blob.Name != name {
			continue
		}
		if err := look(d.inTrash(blob.Key)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}

	// The blob may have been restored meanwhile.
	return look(final)
}
