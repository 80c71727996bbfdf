package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// errDatabase marks a database that can't be opened or migrated.
var errDatabase = errors.New("the database cannot be used")

// repository is an open database and the repository in it.
type repository struct {
	*sqlrepo.Repository
	db *dialect.DB
	// follows is true if the database is a copy that follows another one.
	follows bool
}

func (r *repository) close() error { return r.db.Close() }

func (a *app) databaseSettings(cfg *config.Config) dialect.Settings {
	return dialect.Settings{
		Type: cfg.Repo.DatabaseType, URL: cfg.Repo.DatabaseURL, Password: cfg.Repo.Password,
		Options:      cfg.Repo.EngineOptions(),
		MaxOpenConns: poolSize(cfg), MaxIdleConns: cfg.Repo.MaxIdleConns,
		ConnMaxLifetime: cfg.Repo.ConnMaxLifetime, ConnMaxIdleTime: cfg.Repo.ConnMaxIdleTime, Log: a.log,
	}
}

// mostConnections is enough for any number of workers, because each needs a connection for a moment per shard.
const mostConnections = 20

// poolSize returns one connection for each worker and some for other work, at most mostConnections. A configured
// size wins.
func poolSize(cfg *config.Config) int {
	if cfg.Repo.MaxOpenConns > 0 {
		return cfg.Repo.MaxOpenConns
	}
	return min(workers(cfg)+4, mostConnections)
}

// opening is what a command does if the repository does not exist.
type opening int

const (
	// existing is for commands that need the content of a repository. They create no data directory, no database
	// and no tables.
	existing opening = iota
	// making is for commands that may be the first ever. They create whatever is absent.
	making
	// reading is for commands that change nothing in the database. They read from a standby if one is configured.
	reading
)

// open opens the configured repository. It migrates the schema if the configuration allows that.
func (a *app) open(ctx context.Context, cfg *config.Config, mode opening) (*repository, error) {
	if mode == reading && cfg.Repo.ReadURL != "" {
		return a.openToRead(ctx, cfg)
	}
	options := []migrate.Option{migrate.WithLogger(a.log)}
	prepareDataDir := makeDataDir
	if mode != making {
		options = append(options, migrate.WithExisting())
		prepareDataDir = requireDataDir
	}

	if err := prepareDataDir(cfg); err != nil {
		return nil, err
	}

	if cfg.Repo.MigrateURL != "" {
		options = append(options, migrate.WithDirect(a.directSettings(cfg)))
	}

	// A migration that takes long is shown, whichever command has begun it.
	task := progress.NewTask("migrating", "migration")
	begun, hide := a.showLate(ctx, task.State)
	options = append(options, migrate.WithProgress(func(p migrate.Progress) {
		followMigration(task)(p)
		begun()
	}))
	db, result, err := migrate.New(a.databaseSettings(cfg), options...).Open(ctx, cfg.Repo.AutoMigrate)
	hide()
	if err != nil {
		return nil, databaseError(err)
	}

	if result.Backup != "" {
		a.log.Info("the schema was brought up to date", "from", result.From, "to", result.To, "copy", result.Backup)
	}
	return &repository{Repository: sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor)), db: db}, nil
}

// requireDataDir returns an error if the data directory was set, by a flag or otherwise, and does not exist.
func requireDataDir(cfg *config.Config) error {
	if !cfg.IsSet("repo.data_dir") {
		// The database may be elsewhere. If it is not, it is absent as well.
		return nil
	}

	path, err := filepath.Abs(cfg.Repo.DataDir)
	if err != nil {
		return err
	}

	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w: the data directory %s does not exist", errDatabase, migrate.ErrAbsent, path)
	}
	return err
}

// requireRepository returns an error unless the database exists and has tables, of whatever version.
func (a *app) requireRepository(ctx context.Context, cfg *config.Config) error {
	if err := requireDataDir(cfg); err != nil {
		return err
	}
	return requireTables(ctx, a.databaseSettings(cfg))
}

// requireTables is like requireRepository but takes the settings of any database.
func requireTables(ctx context.Context, settings dialect.Settings) error {
	if _, err := migrate.New(settings, migrate.WithExisting()).Status(ctx); err != nil {
		return databaseError(err)
	}
	return nil
}

// databaseError marks an error of opening a database with errDatabase, unless the settings themselves are wrong.
func databaseError(err error) error {
	if isAny(err, usageErrors) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", errDatabase, err)
}

// withRepository opens the repository, calls fn and closes the repository.
func (a *app) withRepository(ctx context.Context, cfg *config.Config, mode opening,
	fn func(*repository) error) (err error) {
	repo, err := a.open(ctx, cfg, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.close()) }()
	return fn(repo)
}

// atOnce is the number of connections that a worker needs as it begins: for its lock, to listen, to look for
// work, and to do it.
const atOnce = 4

// warmed calls fn while it opens the connections that fn will need.
func warmed(ctx context.Context, repo *repository, fn func() error) error {
	var warming sync.WaitGroup
	warming.Go(func() { repo.db.Warm(ctx, atOnce) })
	defer warming.Wait()
	return fn()
}

// repositoryFunc is the body of a command that needs an open repository.
type repositoryFunc func(context.Context, *config.Config, *repository, []string) error

// repositoryCommand returns a command for a repository that exists.
func (a *app) repositoryCommand(fn repositoryFunc) func(*cobra.Command, []string) error {
	return a.openingCommand(existing, fn)
}

// readingCommand returns a command that changes nothing in the database. It may run on a standby.
func (a *app) readingCommand(fn repositoryFunc) func(*cobra.Command, []string) error {
	return a.openingCommand(reading, fn)
}

// openingCommand returns a command that loads the configuration and opens the repository.
func (a *app) openingCommand(mode opening, fn repositoryFunc) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := a.load(cmd)
		if err != nil {
			return err
		}
		return a.withRepository(cmd.Context(), cfg, mode, func(repo *repository) error {
			return fn(cmd.Context(), cfg, repo, args)
		})
	}
}
