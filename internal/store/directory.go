package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// Directory is a store in a local directory or in one of a file server. Each blob is a file with the name of the
// blob.
type Directory struct {
	path string
	// identity is what the marker held when it was last read, nil before that.
	identity atomic.Pointer[string]
}

// OpenDirectory returns the store in a directory and makes the directory durably if it does not exist. The umask,
// the set-group-id bit and the default ACL of the parent determine who may use the directory and its files.
func OpenDirectory(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := durable.MakeDirectory(path, durable.SharedDirectory); err != nil {
		return nil, fmt.Errorf("store: %w", barred(err))
	}
	return &Directory{path: path}, nil
}

// OpenExisting returns the store in an existing directory. It makes none, since a missing directory may just not
// be mounted. It returns fs.ErrNotExist if nothing is at path, and syscall.ENOTDIR if path is not a directory.
func OpenExisting(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}

	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "use", Path: path, Err: syscall.ENOTDIR}
	}

	if err != nil {
		return nil, barred(err)
	}
	return &Directory{path: path}, nil
}

// Create begins a blob in a temporary file. The file is in the directory of the store, so that Commit can rename
// it. Create returns ErrAbsent if the directory no longer is the store that it was when its marker was read.
func (d *Directory) Create(ctx context.Context, owner string) (Blob, error) {
	pattern, err := temporaryPattern(owner)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, d.failure(err)
	}

	held, err := d.hold()
	if err != nil {
		return nil, d.failure(err)
	}

	file, err := durable.CreateTempIn(held, pattern, durable.Shared)
	if err != nil {
		return nil, errors.Join(d.failure(err), held.Close())
	}
	return &directoryBlob{store: d, held: held, file: file, name: filepath.Base(file.Name())}, nil
}

// Unfinished returns the temporary files whose owner begins with prefix. It also returns drafts of the marker.
// They have no owner, and their makers do not mind if they are removed.
func (d *Directory) Unfinished(ctx context.Context, prefix string) (found []Unfinished, err error) {
	if err := ctx.Err(); err != nil {
		return nil, d.failure(err)
	}

	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, d.failure(err)
	}

	for _, entry := range entries {
		owner, ok := temporaryOwner(entry.Name())
		ok = ok && strings.HasPrefix(owner, prefix) || durable.IsDraft(entry.Name(), markerName)
		if !ok || entry.IsDir() {
			continue
		}

		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			// The file was removed after the directory was read.
			continue
		}
		if err != nil {
			return nil, d.failure(err)
		}

		found = append(found, Unfinished{Owner: owner, Name: entry.Name(), Changed: info.ModTime()})
	}

	return found, nil
}

// Discard removes a temporary file. It refuses to remove any other file.
func (d *Directory) Discard(ctx context.Context, unfinished Unfinished) error {
	owner, ok := temporaryOwner(unfinished.Name)
	ok = ok && owner == unfinished.Owner || unfinished.Owner == "" && durable.IsDraft(unfinished.Name, markerName)
	if !ok {
		return d.failure(fmt.Errorf("%q is not an unfinished blob of %q", unfinished.Name, unfinished.Owner))
	}

	if err := ctx.Err(); err != nil {
		return d.failure(err)
	}

	if err := removeIfThere(filepath.Join(d.path, unfinished.Name)); err != nil {
		return d.failure(err)
	}
	return nil
}

func (d *Directory) failure(err error) error { return fmt.Errorf("store %s: %w", d.path, barred(err)) }

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
