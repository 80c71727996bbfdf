package check

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// shardsOfHolders returns the keys of the shards of other uploads that hold blocks of the one upload that is checked.
// Where rows contradict each other, holders can't be found: the walk through the DAG reports that.
func (r *run) shardsOfHolders(ctx context.Context) ([]int64, error) {
	if r.Upload == nil {
		return nil, nil
	}
	holders := map[int64]struct{}{}
	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return nil, err
		}

		if upload.State == sqlrepo.Removed {
			continue
		}
		if err := r.holders(ctx, upload, holders); err != nil {
			return nil, err
		}

		// The upload's own shards are checked anyway.
		for row, err := range r.Repo.Shards(ctx, upload.ID, sqlrepo.ShardFilter{}) {
			if err != nil {
				return nil, err
			}
			delete(holders, row.ID)
		}
	}
	return slices.Sorted(maps.Keys(holders)), nil
}

func (r *run) holders(ctx context.Context, upload sqlrepo.Upload, found map[int64]struct{}) error {
	space, err := r.Repo.SpaceOf(ctx, upload.ID)
	if errors.Is(err, sqlrepo.ErrNotFound) && r.flawed[upload.ID] {
		return nil
	}
	if err != nil {
		return err
	}

	var digests []sqlrepo.Digest
	_, err = reach.Walker{Repo: r.Repo, TempDir: r.TempDir}.Walk(ctx, upload, func(batch []reach.Block) error {
		r.Progress.Add(int64(len(batch)), 0)
		digests = digests[:0]
		for _, block := range batch {
			digests = append(digests, block.Digest)
		}

		within := sqlrepo.Scope{Space: space, Store: upload.Store}
		if upload.Store == store.NoneIdentity { // it does not need other holders of its own blocks
			held, err := r.Repo.HeldAt(ctx, sqlrepo.Scope{Space: space, Upload: upload.ID}, 0, digests)
			if err != nil {
				return err
			}

			digests = slices.DeleteFunc(digests, func(digest sqlrepo.Digest) bool {
				_, held := held.Digests[digest]
				return held
			})
		}
		return r.Repo.Holders(ctx, within, digests, found)
	})

	// The walk through the DAG reports rows that contradict each other.
	if errors.Is(err, link.ErrInconsistent) || errors.Is(err, link.ErrNoRoot) || len(r.flawed) > 0 &&
		blamesRows(ctx, err) {
		return nil
	}
	return err
}

// shardsOfOthers checks the files of shards that belong to other uploads.
func (r *run) shardsOfOthers(ctx context.Context, keys []int64, sample *sampler) error {
	sees := map[int64]bool{}
	for _, key := range keys {
		read := sample.includesNext()
		row, err := r.Repo.Shard(ctx, key)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}

		// Many shards belong to the same few uploads.
		seen, known := sees[row.Upload]
		if !known {
			owner, err := r.Repo.Upload(ctx, row.Upload)
			if err == nil {
				seen, err = r.sees(owner)
			}
			if err != nil {
				return err
			}
			sees[row.Upload] = seen
		}

		if !seen || len(row.Digest) != len(sqlrepo.Digest{}) {
			r.finish(r.begin(blobOfShard(row), false))
			continue
		}
		if err := r.file(ctx, row, read); err != nil {
			return err
		}
	}
	return nil
}
