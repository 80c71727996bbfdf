package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// releaseDead gives back what processes of this host had that are gone: nobody has to wait for the end of their leases.
func releaseDead(ctx context.Context, repo *sqlrepo.Repository, filter sqlrepo.OpenFilter, log *slog.Logger) error {
	open, err := repo.OpenUploads(ctx, filter)
	if err != nil {
		return err
	}
	for _, upload := range open {
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

// leased are the stage and the shards of an upload that dead processes have.
func leased(ctx context.Context, repo *sqlrepo.Repository, upload sqlrepo.OpenUpload) (units []sqlrepo.Unit, err error) {
	if isDead(upload.Worker) {
		units = append(units, sqlrepo.Stage{Upload: upload.Upload})
	}
	shards, err := repo.ShardsUnderWay(ctx, upload.ID)
	for _, shard := range shards {
		if isDead(shard.Worker) {
			units = append(units, shard)
		}
	}
	return units, err
}

// isDead tells whether a worker's name is that of a process of this host that is not there any more.
func isDead(worker string) bool {
	host, err := os.Hostname()
	name, found := strings.CutPrefix(worker, host+"/")
	pid, notPID := strconv.Atoi(name)
	if err != nil || !found || notPID != nil || pid <= 0 {
		return false
	}
	process, err := os.FindProcess(pid)
	return err != nil || errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
