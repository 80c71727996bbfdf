package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// indexes checks the files of an upload's indexes, if its store is seen. Because indexes are small, it reads all of
// them if any shards are read.
func (r *run) indexes(ctx context.Context, upload sqlrepo.Upload, seen bool) error {
	stored := sqlrepo.IndexFilter{Upload: &upload.ID, States: []sqlrepo.IndexState{sqlrepo.IndexStored}}
	for row, err := range r.Repo.Indexes(ctx, stored) {
		if err != nil {
			return err
		}
		part := r.begin(blobOfIndex(row), r.ReadPercent > 0)
		if !seen || len(row.Digest) != len(sqlrepo.Digest{}) {
			r.finish(part)
			continue
		}

		problem, err := r.index(ctx, row, part)
		r.finish(part)
		if err != nil {
			return err
		}
		if problem == nil {
			continue
		}

		// The row is read again: the index may have been removed meanwhile.
		now, err := r.Repo.Index(ctx, row.ID)
		if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && now.State != row.State {
			continue // it was removed meanwhile
		}
		if err != nil {
			return err
		}

		problem.Upload, problem.Index = row.Upload, row.ID
		if err := r.emit(*problem); err != nil {
			return err
		}
	}
	return nil
}

// index compares an index with its file, and both with the rows of the shards that it covers.
func (r *run) index(ctx context.Context, row sqlrepo.Index, part *progress.Part) (*Problem, error) {
	name := blobindex.Name([32]byte(row.Digest))
	if row.Store == store.NoneIdentity {
		return r.compareIndex(ctx, row, name)
	}

	files := r.place(row.Store).Files
	size, err := files.Size(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Code: CodeIndexMissing, File: name, Detail: "its file is not in the store"}, nil
	case err != nil:
		return nil, err
	case size != row.Size:
		return &Problem{Code: CodeIndexLength, File: name,
			Detail: fmt.Sprintf("its file has %d bytes instead of %d", size, row.Size)}, nil
	case r.ReadPercent == 0:
		return nil, nil
	}

	digest, err := store.DigestCounted(ctx, files, name, part.Add)
	if err != nil {
		return nil, err
	}
	if digest != [32]byte(row.Digest) {
		return &Problem{Code: CodeIndexDamaged, File: name, Detail: "its bytes do not match its name"}, nil
	}
	return r.compareIndex(ctx, row, name)
}

// compareIndex makes an index again from rows and compares the digests.
func (r *run) compareIndex(ctx context.Context, row sqlrepo.Index, name string) (*Problem, error) {
	if r.ReadPercent == 0 {
		return nil, nil
	}
	covered, err := r.Repo.Covered(ctx, row.ID)
	if err != nil {
		return nil, err
	}

	again, _, err := index.Bytes(ctx, r.Repo, row, covered)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}

	flawed := len(r.flawed) > 0 && blamesRows(ctx, err)
	if err != nil && !flawed && !errors.Is(err, index.ErrInconsistent) {
		return nil, err
	}
	if err != nil || sha256.Sum256(again) != [32]byte(row.Digest) {
		return &Problem{Code: CodeIndexMismatch, File: name, Detail: "it does not match the shards that it covers"}, nil
	}
	return nil, nil
}
