package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/guppy-prep/guppy/internal/host/liveness"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Owner returns the name that marks the temporary files of a claim among all files in the store.
func Owner(space sqlrepo.Space, upload, token int64) string {
	return fmt.Sprintf("%s-%d-%d", trash.Owner(space), upload, token)
}

// tidy removes the temporary files of a space that nobody will finish. It also restores or deletes the files that
// interrupted removals left in the trash.
func tidy(ctx context.Context, repo *sqlrepo.Repository, files store.Store, space sqlrepo.Space,
	log *slog.Logger) error {
	bin := trash.Bin{Repo: repo, Store: files, Owner: trash.Owner(space)}
	left, err := bin.Tidy(ctx)
	if err != nil {
		return err
	}
	if left > 0 {
		log.Info("ended what interrupted removals left", "files", left)
	}

	abandoned, err := Abandoned(ctx, repo, files, space)
	for _, file := range abandoned {
		if err := files.Discard(ctx, file); err != nil {
			return err
		}
	}
	if len(abandoned) > 0 {
		log.Info("removed what interrupted workers left", "files", len(abandoned))
	}
	return err
}

// Abandoned lists the temporary files of a space that nobody will finish: those whose lease was taken over or given
// back, and those of a dead process of this host. A lease that has ended may still be renewed as long as nobody has
// taken the work over.
//
// The files are listed before the leases: each file was begun under a lease that is older.
func Abandoned(ctx context.Context, repo *sqlrepo.Repository, files store.Store,
	space sqlrepo.Space) ([]store.Unfinished, error) {
	unfinished, err := files.Unfinished(ctx, trash.Owner(space)+"-")
	if err != nil || len(unfinished) == 0 {
		return nil, err
	}

	live, err := liveOwners(ctx, repo, space)
	if err != nil {
		return nil, err
	}

	return slices.DeleteFunc(unfinished, func(file store.Unfinished) bool { return live[file.Owner] }), nil
}

// liveOwners returns the owners of the leases that nobody has taken over.
func liveOwners(ctx context.Context, repo *sqlrepo.Repository, space sqlrepo.Space) (map[string]bool, error) {
	live := map[string]bool{}
	open, err := repo.OpenUploads(ctx, sqlrepo.OpenFilter{Spaces: []int64{space.ID}})
	if err != nil {
		return nil, err
	}

	for _, upload := range open {
		add := func(l sqlrepo.Lease) {
			// A process that is gone can't come back to its files.
			if l.Token != 0 && !liveness.IsGone(l.Worker) {
				live[Owner(space, upload.ID, l.Token)] = true
			}
		}
		add(upload.Lease)

		shards, err := repo.ShardsUnderWay(ctx, upload.ID)
		if err != nil {
			return nil, err
		}
		for _, shard := range shards {
			add(shard.Lease)
		}
	}
	return live, nil
}
