package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// unfinishedView is what is not done yet. It is not a problem, so a check shows it beside them, with the numbers and
// words of guppy status.
type unfinishedView struct {
	Uploads  []uploadStatus  `json:"unfinished_uploads"` // uploads that are not complete
	Replicas []replicaStatus `json:"replicas"`           // with --replicas: what replicas lack, of unfinished uploads too

	status *progressView
}

func noneUnfinished() unfinishedView {
	return unfinishedView{Uploads: []uploadStatus{}, Replicas: []replicaStatus{}, status: &progressView{}}
}

// findUnfinished returns what is not done yet of an upload, or of all if upload is nil.
func findUnfinished(ctx context.Context, repo *repository, upload *int64, replicas bool) (unfinishedView, error) {
	view := noneUnfinished()
	status, err := newStatusSampler(repo.Repository, upload).sample(ctx)
	if err != nil {
		return view, err
	}

	view.status = status
	for _, upload := range status.Uploads {
		// A chosen upload is shown by status in any state.
		if upload.State != sqlrepo.Complete.String() && upload.State != sqlrepo.Removed.String() {
			view.Uploads = append(view.Uploads, upload)
		}
	}
	if replicas {
		view.Replicas = status.Replicas
	}
	return view, nil
}

// text prints what is not done yet, if there is anything.
func (v *unfinishedView) text(w io.Writer) {
	var behind []storeStatus
	for _, store := range v.status.Stores {
		if slices.ContainsFunc(v.Replicas, func(replica replicaStatus) bool {
			return replica.Replica == store.Store && replica.Files > 0
		}) {
			behind = append(behind, store)
		}
	}
	if len(v.Uploads)+len(behind) == 0 {
		return
	}

	fmt.Fprintln(w, "not done yet, as "+toRun+"status shows it:")
	for i := range v.Uploads {
		v.Uploads[i].text(w)
	}
	for _, store := range behind {
		store.text(w, v.status)
	}
}
