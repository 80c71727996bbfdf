package store

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Committed yields the names of the blobs that were committed, and those of files that somebody else has put there,
// with their lengths. Names that begin with a dot are guppy's own.
func (d *Directory) Committed(ctx context.Context) iter.Seq2[Committed, error] {
	return func(yield func(Committed, error) bool) {
		entries, err := os.ReadDir(d.path)
		if err != nil {
			yield(Committed{}, d.failure(err))
			return
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), ".") || !entry.Type().IsRegular() {
				continue
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err = errors.Join(err, ctx.Err()); err != nil {
				yield(Committed{}, d.failure(err))
				return
			}
			if !yield(Committed{Name: entry.Name(), Size: info.Size()}, nil) {
				return
			}
		}
	}
}

// Remove removes a committed blob. One that is not there is no error.
func (d *Directory) Remove(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return d.failure(err)
	}
	if err := removeIfThere(filepath.Join(d.path, name)); err != nil {
		return d.failure(err)
	}
	return nil
}
