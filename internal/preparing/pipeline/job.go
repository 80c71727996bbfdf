// Package pipeline takes uploads through their stages: scan, plan, pack, link, complete. Any number of workers
// share the stages and shards of an upload. Leases alone coordinate them.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrSetAside is returned for an upload with work that was given up. All its other work is done.
var ErrSetAside = errors.New("work was set aside")

// ErrRemoved is returned for an upload that was removed while it was being prepared.
var ErrRemoved = errors.New("it was removed meanwhile")

// Job is the preparation of one source.
type Job struct {
	Repo  *sqlrepo.Repository
	Store store.Store
	FS    source.FS
	// Held, if not nil, is the handle through which FS reads the source. Its sighting is kept in the repository.
	Held   *source.Held
	Space  sqlrepo.Space
	Source sqlrepo.Source
	// Fresh is the recipe of a new upload: profile, shard size, options. If the source has an unfinished upload, only
	// its options change.
	Fresh sqlrepo.Upload
	// Tags are added to the upload.
	Tags []string
	// SkipFailed is true if the upload is to be completed without the entries that could not be prepared.
	SkipFailed bool
	// Sending, if not nil, says how files are sent to the replicas of the space.
	Sending *Sending
	// PatternOrigin is that of Worker.
	PatternOrigin      func(pattern string) string
	Workers, ReadAhead int
	Limits             Limits
	TempDir            string
	Progress           *progress.Counters
	Log                *slog.Logger
}

// Result describes an upload after a run.
type Result struct {
	// Upload is also set, as it was opened, if the run fails.
	Upload sqlrepo.Upload
	// Unchanged is true if nothing has changed since the Upload, which an earlier run completed. The one that this run
	// began is gone.
	Unchanged bool
	// Failed is the number of entries that could not be prepared. The upload is complete only if Failed is 0 or failed
	// entries are skipped.
	Failed int64
}

// Run takes the source's unfinished upload, or a new one, as far as it can. Other workers may work on the same
// upload. Committed work stays when Run fails.
//
// Run returns ErrSetAside if some of the upload's work was given up, ErrRemoved if the upload was removed
// meanwhile, and sqlrepo.ErrAtWork if the job would change the upload while others work on it.
func (j *Job) Run(ctx context.Context) (result Result, err error) {
	lock, unfinished, err := j.begin(ctx)
	if err != nil {
		return result, err
	}

	ctx = lock.Watch(ctx)
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()

	opened, err := j.open(ctx, unfinished)
	if err != nil {
		return result, err
	}

	// A new run tries again what earlier ones could not send.
	if j.Sending != nil {
		if err := j.Repo.ResumeSendings(ctx, j.Space.ID); err != nil {
			return result, err
		}
	}

	upload := opened.Upload.ID
	result.Upload = opened.Upload
	worker := j.worker(opened)
	worker.Unchanged = func(_, previous sqlrepo.Upload) { result.Upload, result.Unchanged = previous, true }
	worker.Completed = func(completed sqlrepo.Upload) {
		result.Upload = completed
		if j.Sending != nil { // the run goes on, and may be interrupted
			j.Log.Info("the upload is complete; sending the rest to replicas", "upload", completed.ID, "root", completed.RootCID)
		}
	}
	if err := worker.Run(ctx); err != nil {
		return result, err
	}

	// Another worker may have completed the upload, or dropped it, or somebody may have removed it.
	if result.Upload.State != sqlrepo.Complete {
		if err := j.look(ctx, opened.Upload, &result); err != nil {
			return result, err
		}
	}

	if result.Unchanged {
		return result, j.confirm(ctx, &result.Upload)
	}

	if result.Upload.Stuck() {
		return result, j.setAside(ctx, result.Upload)
	}

	if result.Upload.State != sqlrepo.Complete || result.Upload.SkipFailed {
		result.Failed, err = j.Repo.CountEntries(ctx, upload, sqlrepo.Failed)
	}
	return result, err
}

// look finds out what other workers have made of the upload.
func (j *Job) look(ctx context.Context, upload sqlrepo.Upload, result *Result) (err error) {
	// Otherwise the upload could be another one that has its key.
	if err := j.Repo.RequireCommits(ctx); err != nil {
		return err
	}

	result.Upload, err = j.Repo.Upload(ctx, upload.ID)
	gone := errors.Is(err, sqlrepo.ErrNotFound) || err == nil && result.Upload.State == sqlrepo.Removed
	if !gone {
		return err
	}

	result.Upload, err = j.Repo.UnchangedSince(ctx, upload)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		return j.removed(upload.ID)
	}
	result.Unchanged = err == nil
	return err
}

// confirm gives the tags of the job to the upload since which nothing has changed, and reads it again.
func (j *Job) confirm(ctx context.Context, previous *sqlrepo.Upload) (err error) {
	if len(j.Tags) > 0 {
		err = j.Repo.Tag(ctx, previous.ID, j.Tags, nil)
	}
	if err == nil {
		*previous, err = j.Repo.Upload(ctx, previous.ID)
	}
	if isGone(err) {
		return j.removed(previous.ID)
	}
	return err
}

func (j *Job) removed(upload int64) error {
	return fmt.Errorf("upload %d of source %q: %w: run again to begin another", upload, j.Source.Name, ErrRemoved)
}

// Link links and indexes an upload of the job's space that is packed. That needs the store, but not the source.
func (j *Job) Link(ctx context.Context, upload int64) error {
	access := &Access{Space: j.Space, Store: j.Store, FS: source.Local()}
	worker := Worker{
		Repo: j.Repo, Filter: sqlrepo.OpenFilter{Uploads: []int64{upload}}, Workers: 1, ReadAhead: 1, TempDir: j.TempDir,
		Locate:   func(context.Context, sqlrepo.OpenUpload) (*Access, error) { return access, nil },
		Progress: &progress.Counters{}, Log: j.Log,
	}
	return worker.Run(ctx)
}

// begin locks the schema and reads the space's unfinished uploads at the same time.
func (j *Job) begin(ctx context.Context) (lock dialect.Lock, unfinished []sqlrepo.OpenUpload, err error) {
	var looking errgroup.Group
	looking.Go(func() (err error) {
		unfinished, err = j.Repo.OpenUploads(ctx, sqlrepo.OpenFilter{Spaces: []int64{j.Space.ID}})
		return err
	})

	lock, err = j.Repo.LockUse(ctx)
	looked := looking.Wait()

	if err == nil && looked != nil {
		return nil, nil, errors.Join(looked, lock.Release())
	}
	return lock, unfinished, err
}

// open opens the upload. If the options of the source were changed, it saves them in the same commit.
func (j *Job) open(ctx context.Context, unfinished []sqlrepo.OpenUpload) (opened sqlrepo.Opened, err error) {
	fresh := j.Fresh
	fresh.SkipFailed = j.SkipFailed

	if err := known.RefuseUnmarked(ctx, j.Repo, j.Store); err != nil {
		return opened, err
	}
	row, added, err := known.Register(ctx, j.Repo, j.Store, "")
	if err != nil {
		return opened, err
	}
	if added {
		j.Log.Info("made a new store", "name", row.Name, "url", row.URL)
	}
	fresh.Store = row.Identity

	// What dead processes of this host held would otherwise stay claimed until their leases end.
	if err := leftovers.ReleaseThose(ctx, j.Repo, unfinished, j.Log); err != nil {
		return opened, err
	}

	// Changed options become those of the source too, for later uploads.
	open := j.Repo.OpenUpload
	now, was := j.Fresh.SourceOptions, j.Source.SourceOptions
	if now.SymlinkPolicy != was.SymlinkPolicy || !slices.Equal(now.Excludes, was.Excludes) {
		open = j.Repo.OpenUploadWithOptions
	}

	if opened, err = open(ctx, j.Source.ID, fresh); err != nil {
		return opened, err
	}

	// The upload may be gone by now: others can take it on as soon as it is opened.
	if len(j.Tags) > 0 {
		if err := j.Repo.Tag(ctx, opened.Upload.ID, j.Tags, nil); err != nil && !isGone(err) {
			return opened, err
		}
	}

	if opened.Resumed && !opened.Upload.StoppedAt.IsZero() {
		j.Log.Info(fmt.Sprintf("the last run stopped at %s: %s", opened.Upload.StoppedAt.Format(time.RFC3339),
			opened.Upload.StopReason), "upload", opened.Upload.ID)
	}
	j.Log.Info("preparing a source", "upload", opened.Upload.ID, "source", j.Source.Name, "resumed", opened.Resumed,
		"joined", opened.Joined)
	return opened, leftovers.Tidy(ctx, j.Repo, j.Store, j.Space, j.Log)
}

// isGone reports whether an error is that of an upload which was removed meanwhile.
func isGone(err error) bool {
	return errors.Is(err, sqlrepo.ErrNotFound) || errors.Is(err, sqlrepo.ErrState)
}

func (j *Job) worker(opened sqlrepo.Opened) *Worker {
	access := &Access{Space: j.Space, Store: j.Store, FS: j.FS, Root: string(j.Source.Path), Held: j.Held}
	worker := &Worker{
		Repo: j.Repo, Filter: sqlrepo.OpenFilter{Uploads: []int64{opened.Upload.ID}},
		Locate:  func(context.Context, sqlrepo.OpenUpload) (*Access, error) { return access, nil },
		Sending: j.Sending, Workers: j.Workers, ReadAhead: j.ReadAhead, Limits: j.Limits, TempDir: j.TempDir,
		PatternOrigin: j.PatternOrigin, Progress: j.Progress, Log: j.Log,
	}

	if !opened.Joined {
		worker.Known = []sqlrepo.OpenUpload{{Upload: opened.Upload, Space: j.Space.ID, Claimable: true}}
	}
	return worker
}

// setAside returns an error that says what was given up, and why.
func (j *Job) setAside(ctx context.Context, upload sqlrepo.Upload) error {
	if !upload.SetAside.IsZero() {
		return fmt.Errorf("upload %d, %s: %w: %s", upload.ID, upload.State, ErrSetAside, upload.Error)
	}

	shards, err := j.Repo.ShardsUnderWay(ctx, upload.ID)
	for _, shard := range shards {
		err = errors.Join(err, fmt.Errorf("shard %d of upload %d: %w: %s", shard.Ordinal, upload.ID, ErrSetAside,
			shard.Error))
	}
	return err
}
