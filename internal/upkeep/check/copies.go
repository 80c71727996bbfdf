package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// copies checks whether replicas have what they are recorded to have.
func (r *run) copies(ctx context.Context) error {
	if !r.Replicas {
		return nil
	}
	for _, place := range r.Stores {
		if err := r.copiesIn(ctx, place); err != nil {
			return err
		}
	}
	return nil
}

// copiesIn checks the copies in one store. A copy that no row names is of no use: gc forgets it.
func (r *run) copiesIn(ctx context.Context, place Place) error {
	// The value says whether a row names the copy that has not been checked yet.
	recorded := byDigest[bool]{}
	for digest, err := range r.Repo.Copies(ctx, place.Store.Identity) {
		if err != nil {
			return err
		}
		recorded.set(digest[:], false)
	}

	lacking, err := whatReplicaLacks(ctx, r.Repo, place.Store.Identity, r.Upload)
	if err != nil || len(recorded)+len(lacking) == 0 {
		return err
	}
	if place.Files == nil && !r.isNews(place.Store.Identity) {
		return nil
	}
	if place.Files == nil {
		return r.emit(Problem{Code: CodeStoreElsewhere, Store: place.Store.Name,
			Detail: "a replica is not to be seen from here: " + place.Absent.Error()})
	}

	// Uploads may share a file. It is counted once, and then checked once.
	r.Progress.Begin("checking replica "+place.Store.Name, "file")
	var shards int64
	for row, err := range r.blobs(ctx) {
		if err != nil {
			return err
		}
		if named, copied := recorded.get(row.digest); !copied || named {
			continue
		}

		recorded.set(row.digest, true)
		r.Progress.Expect(1, r.share(row))
		if row.shard != 0 {
			shards++
		}
	}

	sample := newSampler(shards, r.ReadPercent)
	for row, err := range r.blobs(ctx) {
		if err != nil {
			return err
		}
		if named, _ := recorded.get(row.digest); !named {
			continue
		}

		// As in the stores of the uploads, all indexes are read if any shards are.
		recorded.set(row.digest, false)
		read := row.shard == 0 && r.ReadPercent > 0 || row.shard != 0 && sample.includesNext()
		if err := r.copy(ctx, place, row, read); err != nil {
			return err
		}
	}

	for _, lacks := range lacking {
		problem := lacks.problem()
		problem.Store, problem.identity, problem.lacking = place.Store.Name, place.Store.Identity, lacks.files
		if err := r.emit(problem); err != nil {
			return err
		}
	}
	return nil
}

// blobs yields the shards and indexes of the uploads to check, and the shards of others that have blocks of these.
func (r *run) blobs(ctx context.Context) iter.Seq2[blobRow, error] {
	return func(yield func(blobRow, error) bool) {
		for upload, err := range r.uploads(ctx) {
			if err != nil {
				yield(blobRow{}, err)
				return
			}
			for row, err := range blobsOf(ctx, r.Repo, upload.ID) {
				if !yield(row, err) {
					return
				}
			}
		}

		for _, key := range r.held {
			row, err := r.Repo.Shard(ctx, key)
			if errors.Is(err, sqlrepo.ErrNotFound) {
				continue
			}
			if !yield(blobOfShard(row), err) {
				return
			}
		}
	}
}

// copy checks one copy. What was removed meanwhile is not a problem: its row is gone before its copies are.
func (r *run) copy(ctx context.Context, place Place, row blobRow, read bool) error {
	r.Copies++
	if read {
		r.CopiesRead++
	}
	part := r.begin(row, read)
	defer r.finish(part)
	problem, err := lookAtCopy(ctx, place, row, read, part)
	if err != nil || problem == nil {
		return err
	}

	named, err := r.isStored(ctx, row)
	if err != nil || !named {
		return err
	}

	// What a store need not have any longer is a matter of gc, which goes by the record of the copy.
	if problem.Code != CodeCopyMissing {
		needs, err := r.Repo.Named(ctx, place.Store.Identity, []sqlrepo.Digest{sqlrepo.Digest(row.digest)})
		if err != nil || !needs[sqlrepo.Digest(row.digest)].Here {
			return err
		}
	}

	problem.Upload, problem.Shard, problem.Index, problem.File = row.upload, row.shard, row.index, row.name()
	problem.Store, problem.identity = place.Store.Name, place.Store.Identity
	if row.shard != 0 {
		if err := r.addPaths(ctx, problem); err != nil {
			return err
		}
	}
	return r.emit(*problem)
}

// lookAtCopy returns what is wrong with a copy, or nil.
func lookAtCopy(ctx context.Context, place Place, row blobRow, read bool, part *progress.Part) (*Problem, error) {
	size, err := place.Files.Size(ctx, row.name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Code: CodeCopyMissing, Detail: "the replica has lost its copy"}, nil
	case err != nil:
		return nil, err
	case size != row.size:
		return &Problem{Code: CodeCopyLength, Detail: fmt.Sprintf("its copy has %d bytes instead of %d", size, row.size)}, nil
	case !read:
		return nil, nil
	}

	digest, err := store.DigestCounted(ctx, place.Files, row.name(), part.Add)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Code: CodeCopyMissing, Detail: "the replica has lost its copy"}, nil
	case err != nil:
		return nil, err
	case digest != [32]byte(row.digest):
		return &Problem{Code: CodeCopyDamaged, Detail: "the bytes of its copy do not match its name"}, nil
	}
	return nil, nil
}

// isStored reports whether a shard or an index still has the file that its row had.
func (r *run) isStored(ctx context.Context, row blobRow) (bool, error) {
	if row.shard == 0 {
		now, err := r.Repo.Index(ctx, row.index)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			return false, nil
		}
		return now.State == sqlrepo.IndexStored && string(now.Digest) == string(row.digest), err
	}

	now, err := r.Repo.Shard(ctx, row.shard)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		return false, nil
	}
	return now.State == sqlrepo.ShardPacked && string(now.Digest) == string(row.digest), err
}
