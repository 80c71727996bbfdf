package pipeline

import (
	"context"
	"errors"
	"log/slog"

	"github.com/guppy-prep/guppy/internal/host/liveness"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ReleaseDead releases the leases of dead processes on all uploads. A process is dead if this one can see that it
// has ended.
func ReleaseDead(ctx context.Context, repo *sqlrepo.Repository, log *slog.Logger) error {
	unfinished, err := repo.OpenUploads(ctx, sqlrepo.OpenFilter{})
	if err != nil {
		return err
	}
	return releaseDead(ctx, repo, unfinished, log)
}

// releaseDead releases the leases of dead processes on the given uploads. Other workers need not wait for the
// leases to end.
func releaseDead(ctx context.Context, repo *sqlrepo.Repository, unfinished []sqlrepo.OpenUpload,
	log *slog.Logger) error {
	for _, upload := range unfinished {
		units, err := leased(ctx, repo, upload)
		if err != nil {
			return err
		}

		for _, unit := range units {
			err := repo.Release(ctx, unit)
			if err != nil && !errors.Is(err, sqlrepo.ErrLeaseLost) {
				return err
			}
			log.Info("gave back what a process had that is gone", "upload", upload.ID)
		}
	}
	return nil
}

// leased returns the stage and the shards of an upload that dead processes hold.
func leased(ctx context.Context, repo *sqlrepo.Repository,
	upload sqlrepo.OpenUpload) (units []sqlrepo.Unit, err error) {
	if liveness.IsGone(upload.Worker) {
		units = append(units, sqlrepo.Stage{Upload: upload.Upload})
	}

	shards, err := repo.ShardsUnderWay(ctx, upload.ID)
	for _, shard := range shards {
		if liveness.IsGone(shard.Worker) {
			units = append(units, shard)
		}
	}
	return units, err
}
