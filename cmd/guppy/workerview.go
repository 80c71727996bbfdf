package main

import (
	"context"
	"io"
	"sync"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// workerView is what a worker has done by the time when no work is left for it.
type workerView struct {
	Completed  []completedUpload `json:"completed_uploads"`       // uploads that this worker completed
	Files      int64             `json:"packed_file_count"`       // files that it packed
	Bytes      int64             `json:"packed_bytes"`            // their bytes
	SentFiles  int64             `json:"sent_file_count"`         // shards and indexes that it sent to replicas
	SentBytes  int64             `json:"sent_bytes"`              // bytes that it read for that
	Unfinished int64             `json:"unfinished_upload_count"` // uploads that are not complete yet
	Replicas   []sentView        `json:"replicas"`                // replicas, and what they lack
	Seconds    float64           `json:"seconds"`                 // how long the worker ran
}

// completedUpload names an upload that a worker has completed.
type completedUpload struct {
	Upload int64 `json:"upload"` // number of the upload
	spaceRef
	Source  string `json:"source"`   // name of the source
	RootCID string `json:"root_cid"` // CID of its whole tree
}

// completions collects the uploads that a worker completes. It is safe for concurrent use.
type completions struct {
	mu      sync.Mutex
	uploads []sqlrepo.Upload
}

func (c *completions) add(upload sqlrepo.Upload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uploads = append(c.uploads, upload)
}

// views returns the uploads with the names of their spaces and sources.
func (c *completions) views(ctx context.Context, repo *repository) ([]completedUpload, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	views := []completedUpload{}
	for _, upload := range c.uploads {
		source, err := repo.Source(ctx, upload.Source)
		if err != nil {
			return nil, err
		}
		space, err := spaceOf(ctx, repo, source)
		if err != nil {
			return nil, err
		}
		views = append(views, completedUpload{upload.ID, newSpaceRef(space), source.Name, upload.RootCID.String()})
	}
	return views, nil
}

func (v *workerView) text(w io.Writer) {
	facts := &display.Facts{}
	for _, upload := range v.Completed {
		facts.Add("completed", "upload %d, %s/%s: %s", upload.Upload, printable(upload.Space), printable(upload.Source),
			display.Strong(upload.RootCID))
	}
	if len(v.Completed) == 0 {
		facts.Add("completed", "no uploads")
	}
	facts.Add("packed", "%s, %s, in %.1f s", plural(v.Files, "file"), progress.Bytes(v.Bytes), v.Seconds)
	if v.SentFiles > 0 {
		facts.Add("sent", "%s, %s, to replicas", plural(v.SentFiles, "file"), progress.Bytes(v.SentBytes))
	}

	left := "nothing"
	if v.Unfinished > 0 {
		left = display.Warning(plural(v.Unfinished, "upload")+" not complete") + ": " + toRun + "status shows why"
	}
	facts.Add("left", "%s", left)
	replicasText(facts, v.Replicas)
	facts.Write(w)
}
