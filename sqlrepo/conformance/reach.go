package conformance

import (
	"context"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Reach advances an upload to a state up to Linking, through the states in between. It claims the upload again
// where a state ends its lease. An upload that has something to pack gets no further than Packing.
func Reach(ctx context.Context, repo *sqlrepo.Repository, claim sqlrepo.Claim, stage sqlrepo.Stage,
	state sqlrepo.UploadState) (_ sqlrepo.Stage, err error) {
	following := map[sqlrepo.UploadState]sqlrepo.UploadState{
		sqlrepo.Scanning: sqlrepo.Planning, sqlrepo.Planning: sqlrepo.Packing, sqlrepo.Rescanning: sqlrepo.Linking,
	}

	for stage.Upload.State != state {
		if stage, err = repo.Advance(ctx, stage, following[stage.Upload.State]); err != nil {
			return stage, err
		}
		if stage.Upload.State != sqlrepo.Rescanning {
			continue
		}
		if stage, err = repo.ClaimStage(ctx, claim, stage.Upload.ID); err != nil {
			return stage, err
		}
	}
	return stage, nil
}
