package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/durable"
)

// asideSuffix is what the names of damaged blobs get.
const asideSuffix = ".damaged"

// Size is the length of a committed blob. It returns fs.ErrNotExist when there is none of this name.
func (d *Directory) Size(ctx context.Context, name string) (int64, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return 0, d.failure(err)
	}
	info, err := os.Stat(filepath.Join(d.path, name))
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "use", Path: filepath.Join(d.path, name), Err: fs.ErrInvalid}
	}
	if err != nil {
		return 0, d.failure(err)
	}
	return info.Size(), nil
}

// Open reads a committed blob. It returns fs.ErrNotExist when there is none of this name.
func (d *Directory) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return nil, d.failure(err)
	}
	file, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, d.failure(err)
	}
	return file, nil
}

// Location is the URL of a committed blob.
func (d *Directory) Location(name string) string { return location(filepath.Join(d.path, name)) }

func location(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// SetAside renames a committed blob whose bytes are damaged, and returns its new name. One that is gone is no error.
func (d *Directory) SetAside(ctx context.Context, name string) (aside string, err error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return "", d.failure(err)
	}
	aside = name + asideSuffix
	err = os.Rename(filepath.Join(d.path, name), filepath.Join(d.path, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", d.failure(err)
	}
	if err := durable.SyncDirectory(d.path); err != nil {
		return "", d.failure(err)
	}
	return aside, nil
}

// CutAside returns the name that a blob had before it was set aside, and whether it was.
func CutAside(name string) (before string, aside bool) { return strings.CutSuffix(name, asideSuffix) }

// Mark gives the store back the identity that it had, and sets a marker aside that can't be read. It changes no marker
// that can be read.
func (d *Directory) Mark(ctx context.Context, identity string) error {
	was, err := d.Marker(ctx)
	switch {
	case errors.Is(err, ErrDamagedMarker):
		if err := os.Rename(d.marker(), d.marker()+asideSuffix); err != nil {
			return d.failure(err)
		}
	case err != nil:
		return err
	case was != "":
		return d.failure(alreadyIs(was))
	}
	if err := durable.PublishFile(d.marker(), []byte(identity+"\n"), durable.Shared); err != nil {
		return d.failure(err)
	}
	return nil
}
