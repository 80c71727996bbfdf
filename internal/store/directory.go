package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/durable"
)

// Directory is a store in a local directory: one file a blob, under its name.
type Directory struct{ path string }

// Temporary files begin with a dot and this, then the owner.
const temporaryPrefix = ".guppy-"

// OpenDirectory returns the store in a directory, which is made durably if it is absent.
func OpenDirectory(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := durable.MakeDirectory(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Directory{path}, nil
}

// Create begins a blob in a temporary file in the same directory, so that Commit can rename it.
func (d *Directory) Create(_ context.Context, owner string) (Blob, error) {
	file, err := os.CreateTemp(d.path, temporaryPrefix+owner+"-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", d.path, err)
	}
	return &directoryBlob{directory: d.path, file: file}, nil
}

// Clean removes the temporary files of an owner.
func (d *Directory) Clean(ctx context.Context, owner string) (int, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return 0, fmt.Errorf("store %s: %w", d.path, err)
	}
	removed := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, temporaryPrefix+owner+"-") || !strings.HasSuffix(name, ".tmp") {
			continue
		}
		if err := errors.Join(ctx.Err(), os.Remove(filepath.Join(d.path, name))); err != nil {
			return removed, fmt.Errorf("store %s: %w", d.path, err)
		}
		removed++
	}
	return removed, nil
}

type directoryBlob struct {
	directory string
	file      *os.File
}

func (b *directoryBlob) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("store: %w", err)
	}
	return n, nil
}

// Commit syncs the file before it gets its name, and the directory after.
func (b *directoryBlob) Commit(_ context.Context, name string) (string, error) {
	final := filepath.Join(b.directory, name)
	if err := errors.Join(b.file.Sync(), b.file.Close()); err != nil {
		return "", fmt.Errorf("store %s: %w", name, errors.Join(err, removeIfThere(b.file.Name())))
	}
	if err := os.Rename(b.file.Name(), final); err != nil {
		return "", fmt.Errorf("store: %w", errors.Join(err, removeIfThere(b.file.Name())))
	}
	if err := durable.SyncDirectory(b.directory); err != nil {
		return "", fmt.Errorf("store %s: %w", b.directory, err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(final)}).String(), nil
}

func (b *directoryBlob) Abort() error {
	err := b.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil // Commit has failed behind it
	}
	return errors.Join(err, removeIfThere(b.file.Name()))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
