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

// Committed yields the name and length of each committed blob, and of each file that somebody else has put in the
// directory. It skips names that begin with a dot, which are guppy's own.
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
				// The file was removed after the directory was read.
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

// Remove removes a committed blob. It is not an error if the blob does not exist.
func (d *Directory) Remove(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return d.failure(err)
	}
	if err := removeIfThere(filepath.Join(d.path, name)); err != nil {
		return d.failure(err)
	}
	return nil
}
