package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// uploads lists all uploads, also those that are being removed.
func (f *fixture) uploads() []sqlrepo.Upload {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	return uploads
}

// TestAllWhoRunLearnThatNothingHasChanged runs two jobs at the same time, which join each other, or come one after the
// other. None makes an upload, and all report the first.
func TestAllWhoRunLearnThatNothingHasChanged(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), tree(t, map[string]string{"a": "first", "d/b": "other", "empty": ""}))
		first := f.complete()

		for range 10 {
			var running errgroup.Group
			for range 2 {
				job := f.job
				job.Progress, job.Tags = &progress.Counters{}, []string{"again"}
				running.Go(func() error {
					result, err := job.Run(context.Background())
					if err == nil && (!result.Unchanged || result.Upload.ID != first.ID || result.Failed != 0) {
						err = errors.New("something has changed")
					}
					return err
				})
			}
			must(t, running.Wait())
		}

		left := f.uploads()
		equal(t, "uploads", len(left), 1)
		equal(t, "root", left[0].RootCID, first.RootCID)
		tags, err := f.repo.TagsOf(context.Background(), first.ID)
		must(t, err)
		equal(t, "tags", len(tags), 1)
		checktest.Sound(t, f.repo, f.dir)
	})
}

// TestAWorkerDropsWhatHasNotChanged has a worker take on what another process has begun, for whom it is to be made in
// any case, or not.
func TestAWorkerDropsWhatHasNotChanged(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		ctx := context.Background()
		f := newFixture(t, db, source.Local(), tree(t, map[string]string{"a": "first"}))
		first := f.complete()
		access := &pipeline.Access{
			Space: f.job.Space, Store: f.job.Store, FS: f.job.FS, Root: string(f.job.Source.Path),
		}

		for _, always := range []bool{false, true} {
			fresh := f.job.Fresh
			fresh.Store, fresh.Always = first.Store, always
			opened, err := f.repo.OpenUpload(ctx, f.job.Source.ID, fresh)
			must(t, err)

			dropped := int64(0)
			worker := pipeline.Worker{
				Repo: f.repo, Roving: true, Workers: 2, ReadAhead: 1, TempDir: f.job.TempDir, Limits: f.job.Limits,
				Locate:    func(context.Context, sqlrepo.OpenUpload) (*pipeline.Access, error) { return access, nil },
				Unchanged: func(upload, _ sqlrepo.Upload) { dropped = upload.ID },
				Progress:  &progress.Counters{}, Log: f.job.Log,
			}
			must(t, worker.Run(ctx))

			left := f.uploads()
			if always {
				equal(t, "uploads", len(left), 2)
				equal(t, "dropped", dropped, 0)
				equal(t, "root", left[1].RootCID, first.RootCID)
			} else {
				equal(t, "uploads", len(left), 1)
				equal(t, "dropped", dropped, opened.Upload.ID)
			}
		}
	})
}

// TestAnUploadThatWasBegunForAChangeIsDropped takes the change back before the upload is planned.
func TestAnUploadThatWasBegunForAChangeIsDropped(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), tree(t, map[string]string{"a": "first"}))
	first := f.complete()

	// The scan finds the change, and the run ends before it plans.
	path := filepath.Join(string(f.job.Source.Path), "new")
	must(t, os.WriteFile(path, []byte("new"), 0o600))
	ctx := context.Background()
	fresh := f.job.Fresh
	fresh.Store = first.Store
	opened, err := f.repo.OpenUpload(ctx, f.job.Source.ID, fresh)
	must(t, err)
	stage, err := f.repo.ClaimStage(ctx, sqlrepo.Claim{Worker: "killed", Term: 1}, opened.Upload.ID)
	must(t, err)
	added := sqlrepo.Entry{Path: "new", Fingerprint: sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: 3}}
	must(t, f.repo.SaveScan(ctx, stage, sqlrepo.ScanBatch{Added: []sqlrepo.Entry{added}}))

	info, err := os.Stat(string(f.job.Source.Path))
	must(t, err)
	must(t, os.Remove(path))
	must(t, os.Chtimes(string(f.job.Source.Path), info.ModTime(), first.StartedAt.Time))

	// The time of the directory is another one now, which is a change; the next run has none.
	changed := f.complete()
	equal(t, "upload", changed.ID, opened.Upload.ID)
	result, err := f.run()
	must(t, err)
	equal(t, "unchanged", result.Unchanged, true)
	equal(t, "since", result.Upload.ID, changed.ID)
	equal(t, "root", result.Upload.RootCID, first.RootCID)
}
