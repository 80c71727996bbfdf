package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/identity"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func workers(cfg *config.Config) int {
	if cfg.Prepare.Workers > 0 {
		return cfg.Prepare.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func limits(cfg *config.Config) pipeline.Limits {
	return pipeline.Limits{
		Lease: cfg.Worker.Lease, StallTimeout: cfg.Worker.StallTimeout, MaxAttempts: cfg.Worker.MaxAttempts,
		RunAhead: cfg.Worker.RunAhead,
	}
}

// runSource prepares one registered source and reports the result.
func (a *app) runSource(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source) (*report, error) {
	if err := refuseOwnFiles(cfg, string(registered.Path)); err != nil {
		return nil, err
	}
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &registered.ID})
	if err != nil {
		return nil, err
	}
	return a.runKnown(ctx, cfg, repo, space, registered, uploads)
}

// runKnown is like runSource but takes the uploads that the source has so far.
func (a *app) runKnown(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source, uploads []sqlrepo.Upload) (*report, error) {
	fresh, err := recipe(cfg, uploads, space, registered)
	if err != nil {
		return nil, err
	}

	a.tidyDataDir(cfg)

	shards, err := a.openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}

	if err := a.warnOfOtherStore(ctx, shards, uploads); err != nil {
		return nil, err
	}

	held, files, err := a.hold(ctx, cfg, repo, registered, string(registered.Path), fresh.SourceOptions)
	if err != nil {
		return nil, err
	}
	defer held.Close() //nolint:errcheck // nothing was written

	// An empty directory is often a mount point whose file system is missing.
	if len(uploads) == 0 && held.Sighting().Empty {
		a.log.Warn("the source is an empty directory: is it mounted?", "path", string(registered.Path))
	}

	job := pipeline.Job{
		Repo: repo.Repository, Store: shards, FS: files, Held: held, Space: space, Source: registered, Fresh: fresh,
		SkipFailed: cfg.Prepare.OnError == "skip", Workers: workers(cfg), ReadAhead: readAhead(cfg), Limits: limits(cfg),
		TempDir: cfg.Repo.DataDir, Progress: &progress.Counters{}, Log: a.log,
	}

	before, err := contentSoFar(ctx, repo, uploads)
	if err != nil {
		return nil, err
	}

	// From here on an interruption leaves work to resume.
	a.ran = true
	started := time.Now()
	stop := a.showProgress(ctx, job.Progress.Line)
	result, err := job.Run(ctx)
	stop()

	// An error for lack of room is more useful with the amount that is needed.
	if shortage.Full(err) {
		err = sayWhatIsNeeded(ctx, repo, registered, err)
	}

	if err != nil {
		return nil, err
	}

	made, err := newReport(ctx, repo, job, result, before, time.Since(started))
	if err == nil && cfg.ByFlag("prepare.piece_cid") && result.Upload.PieceCID {
		a.warnOfNoPieces(made)
	}
	return made, err
}

// sayWhatIsNeeded adds the number of bytes yet to be packed to the error of a run for which there was no room.
func sayWhatIsNeeded(ctx context.Context, repo *repository, registered sqlrepo.Source, full error) error {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &registered.ID})
	if err != nil || len(uploads) == 0 {
		// The lack of room matters more than the error of this query.
		return full
	}

	last := uploads[len(uploads)-1]
	left := last.PlannedBytes - last.PackedBytes
	if left <= 0 {
		return full
	}
	return fmt.Errorf("%w; %d bytes of the source are yet to be packed", full, left)
}

// warnOfOtherStore warns if the source's latest upload is in another store, because all of its content is then
// stored again.
func (a *app) warnOfOtherStore(ctx context.Context, shards store.Store, uploads []sqlrepo.Upload) error {
	if len(uploads) == 0 || uploads[len(uploads)-1].Store == "" {
		return nil
	}

	latest := uploads[len(uploads)-1]
	marker, err := shards.Marker(ctx)
	if err != nil || marker == latest.Store {
		return err
	}

	a.log.Warn("the latest upload of this source is in another store: what it has is stored here again",
		"upload", latest.ID, "its_store", latest.Store)
	return nil
}

// warnOfNoPieces warns of an upload without any piece CID although the user asked for them.
func (a *app) warnOfNoPieces(made *report) {
	computed := func(shard reportShard) bool { return shard.PieceCID != "" }
	if made.State != incomplete && !slices.ContainsFunc(made.Shards, computed) {
		a.log.Warn("no piece CID was computed: nothing was stored that earlier uploads have not (guppy shard ls "+
			"tells theirs)",
			"upload", made.Upload)
	}
}

// visibleFiles returns the file system without guppy's own files.
func visibleFiles(cfg *config.Config, repo *repository, files source.FS) (source.FS, error) {
	own, err := ownFiles(cfg)
	if err != nil {
		return nil, err
	}

	if directory := cfg.Prepare.StoreDirectory(); directory != "" {
		own = append(own, directory)
	}

	// Some engines keep the database in files, which may be inside the source.
	database, err := dialect.Files(repo.db.Settings)
	if err != nil {
		return nil, err
	}
	return source.Hide(files, append(own, database...)...)
}

// ownFiles returns the data directory, the directory of the keys and the keys, which may be reached on other ways
// than through the data directory. It ignores that the keys may not be listed: the user can't read them either.
func ownFiles(cfg *config.Config) ([]string, error) {
	keys, err := identity.Keys(cfg.Repo.DataDir)
	if errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return slices.Concat([]string{cfg.Repo.DataDir, keysDirectory(cfg)}, slices.Collect(maps.Values(keys))), err
}

func keysDirectory(cfg *config.Config) string { return filepath.Join(cfg.Repo.DataDir, "keys") }

// recipe returns the recipe of a new upload. An unfinished upload keeps its profile, its kind of index, its piece
// CIDs and, once shards are planned, its shard size. A source keeps its options and the profile of its latest
// upload. Flags override all of these.
func recipe(cfg *config.Config, uploads []sqlrepo.Upload, space sqlrepo.Space,
	registered sqlrepo.Source) (recipe sqlrepo.Upload, err error) {
	recipe = sqlrepo.Upload{Profile: cfg.Prepare.Profile, ShardSize: space.ShardSize, PieceCID: cfg.Prepare.PieceCID,
		IndexLayout: cfg.Index.Layout, IndexSlices: cfg.Index.MaxSlices, Rereading: rereading(cfg)}

	if len(uploads) > 0 {
		latest := uploads[len(uploads)-1]
		if !cfg.ByFlag("prepare.profile") {
			recipe.Profile = latest.Profile
		}
		if !latest.Closed() {
			keepRecipe(cfg, &recipe, latest)
		}
	}

	if cfg.ByFlag("prepare.piece_cid") {
		recipe.PieceCID = cfg.Prepare.PieceCID
	}
	if cfg.ByFlag("prepare.shard_size") {
		recipe.ShardSize = cfg.Prepare.ShardSize
	}

	recipe.SourceOptions, err = changedOptions(cfg, registered.SourceOptions)
	return recipe, err
}

// keepRecipe keeps the recipe of an unfinished upload, because its plan can't change.
func keepRecipe(cfg *config.Config, recipe *sqlrepo.Upload, latest sqlrepo.Upload) {
	keepRereading(cfg, &recipe.Rereading, latest.Rereading)
	recipe.PieceCID = latest.PieceCID
	if latest.PlannedShards > 0 {
		recipe.ShardSize = latest.ShardSize
	}

	if cfg.ByFlag("index.layout") && cfg.Index.Layout != latest.IndexLayout {
		// The largest number of slices depends on the layout.
		return
	}

	recipe.IndexLayout = latest.IndexLayout
	if !cfg.ByFlag("index.max_slices") {
		recipe.IndexSlices = latest.IndexSlices
	}
}

// rereading returns the configured way of comparing files with those that were scanned before.
func rereading(cfg *config.Config) sqlrepo.Rereading {
	return sqlrepo.Rereading{
		Reread: cfg.Prepare.Reread, IgnoreInode: cfg.Prepare.IgnoreInode, IgnoreCtime: cfg.Prepare.IgnoreCtime,
		MtimeWindow: int64(cfg.Prepare.MtimeWindow),
	}
}

// keepRereading keeps the way in which an unfinished upload compares files, unless flags change it.
func keepRereading(cfg *config.Config, rereading *sqlrepo.Rereading, latest sqlrepo.Rereading) {
	if !cfg.ByFlag("prepare.ignore_inode") {
		rereading.IgnoreInode = latest.IgnoreInode
	}
	if !cfg.ByFlag("prepare.ignore_ctime") {
		rereading.IgnoreCtime = latest.IgnoreCtime
	}
	if !cfg.ByFlag("prepare.mtime_window") {
		rereading.MtimeWindow = latest.MtimeWindow
	}
}

// showProgress shows the progress until stop is called.
func (a *app) showProgress(ctx context.Context, line progress.Line) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)

	var shown sync.WaitGroup
	shown.Go(func() {
		if a.terminal.interactive() {
			progress.Show(ctx, line, a.terminal, a.terminal.width)
		} else {
			progress.Log(ctx, line, a.log)
		}
	})

	return func() {
		cancel()
		shown.Wait()
	}
}

// printResume prints the command line that resumes an interrupted run.
func printResume(w io.Writer, args []string) {
	quoted := make([]string, len(args))
	for i, arg := range withoutPasswords(args) {
		quoted[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$&|;<>()*?[]#~`!{}") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}

	quoted[0] = filepath.Base(quoted[0])
	fmt.Fprintln(w, "guppy: to resume, run again:", strings.Join(quoted, " "))
}

// urlFlags are the flags whose values may contain passwords.
var urlFlags = []string{"--database-url", "--from", "--to"}

// withoutPasswords redacts the passwords of database URLs in the arguments.
func withoutPasswords(args []string) []string {
	shown := slices.Clone(args)
	for i, arg := range args {
		prefix, location, joined := strings.Cut(arg, "=")

		// A URL follows "=" or is the next argument.
		switch {
		case joined && slices.Contains(urlFlags, prefix):
			prefix += "="
		case i > 0 && slices.Contains(urlFlags, args[i-1]):
			prefix, location = "", arg
		default:
			continue
		}

		if dialect.HoldsPassword(dialect.Secret(location)) {
			shown[i] = prefix + dialect.Redact(location)
		}
	}

	return shown
}
