package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// asideSuffix is the suffix that the names of damaged blobs get.
const asideSuffix = ".damaged"

// Size returns the length of a committed blob. It returns fs.ErrNotExist if there is no blob of this name.
func (d *Directory) Size(ctx context.Context, name string) (int64, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return 0, d.failure(err)
	}

	var info fs.FileInfo
	err := d.find(name, func(path string) (err error) {
		if info, err = os.Stat(path); err == nil && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "use", Path: path, Err: fs.ErrInvalid}
		}
		return err
	})
	if err != nil {
		return 0, d.failure(err)
	}

	return info.Size(), nil
}

// Open opens a committed blob for reading. It returns fs.ErrNotExist if there is no blob of this name.
func (d *Directory) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return nil, d.failure(err)
	}
	file, err := d.open(name)
	if err != nil {
		return nil, d.failure(err)
	}
	return file, nil
}

func (d *Directory) open(name string) (file *os.File, err error) {
	err = d.find(name, func(path string) error {
		file, err = os.Open(path)
		return err
	})
	return file, err
}

// URL returns the URL of the directory.
func (d *Directory) URL() string { return Place{Directory: d.path}.String() }

// Free returns how many bytes still fit into a store in a directory, and whether that is known.
func Free(s Store) (bytes int64, known bool) {
	if directory, ok := s.(*Directory); ok {
		return shortage.FreeBytes(directory.path)
	}
	return 0, false
}

// Aside returns the name that a blob gets when it is set aside.
func Aside(name string) string { return name + asideSuffix }

// CutAside returns the name that a blob had before it was set aside. It reports whether the blob was set aside.
func CutAside(name string) (before string, aside bool) { return strings.CutSuffix(name, asideSuffix) }

// Mark restores the identity that the store had. It sets an unreadable marker aside and never changes a readable
// one.
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
