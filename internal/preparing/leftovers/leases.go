// Package leftovers finds what ended processes have left behind: their leases, and the files that they had begun in
// stores.
package leftovers

import (
	"context"
	"errors"
	"log/slog"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ReleaseAll gives back the leases of processes that are known to be gone, on all unfinished uploads and on files on
// their way to replicas.
func ReleaseAll(ctx context.Context, repo *sqlrepo.Repository, log *slog.Logger) error {
	unfinished, err := repo.OpenUploads(ctx, sqlrepo.OpenFilter{})
	if err != nil {
		return err
	}
	return errors.Join(ReleaseThose(ctx, repo, unfinished, log), ReleaseSendings(ctx, repo, nil, log))
}

// ReleaseThose is like ReleaseAll for the stages and shards of the given uploads. An upload for which no reason of a
// stop is kept gets the end of the process as one.
func ReleaseThose(ctx context.Context, repo *sqlrepo.Repository, unfinished []sqlrepo.OpenUpload,
	log *slog.Logger) error {
	for _, upload := range unfinished {
		shards, err := repo.ShardsUnderWay(ctx, upload.ID)
		if err != nil {
			return err
		}

		units := []sqlrepo.Unit{sqlrepo.Stage{Upload: upload.Upload}}
		for _, shard := range shards {
			units = append(units, shard)
		}

		gone := ""
		for _, unit := range units {
			released, err := Release(ctx, repo, unit)
			if err != nil {
				return err
			}
			if released {
				gone = leaseOn(unit).Worker
				log.Info("released the claims of a process that is gone", "upload", upload.ID)
			}
		}

		if gone != "" && upload.StoppedAt.IsZero() {
			reason := "the " + presence.Describe(gone) + " was killed or has crashed"
			if err := repo.NoteStop(ctx, upload.ID, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReleaseSendings is like ReleaseAll for the files that are sent to replicas of some spaces, or of all spaces if
// spaces is nil.
func ReleaseSendings(ctx context.Context, repo *sqlrepo.Repository, spaces []int64, log *slog.Logger) error {
	sendings, err := repo.Sendings(ctx, spaces)
	if err != nil {
		return err
	}
	for _, sending := range sendings {
		released, err := Release(ctx, repo, sending)
		if err != nil {
			return err
		}
		if released {
			log.Info("released the claim of a process that is gone on a file to send", "store", sending.Store)
		}
	}
	return nil
}

// Release gives back the lease on a unit if its process is known to be gone, and reports whether it did. Others then
// need not wait until the lease ends.
func Release(ctx context.Context, repo *sqlrepo.Repository, unit sqlrepo.Unit) (released bool, err error) {
	if !presence.IsGone(leaseOn(unit).Worker) {
		return false, nil
	}
	err = repo.Release(ctx, unit)
	if errors.Is(err, sqlrepo.ErrLeaseLost) {
		return false, nil
	}
	return err == nil, err
}

func leaseOn(unit sqlrepo.Unit) sqlrepo.Lease {
	switch unit := unit.(type) {
	case sqlrepo.Stage:
		return unit.Upload.Lease
	case sqlrepo.Shard:
		return unit.Lease
	case sqlrepo.Sending:
		return unit.Lease
	}
	return sqlrepo.Lease{}
}
