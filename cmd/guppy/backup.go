package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

const backupHelp = `Backup writes all rows of the repository to a SQLite file, whatever engine the
database runs on. The backup is a snapshot of one moment; workers may continue
meanwhile. FILE appears only when the backup is complete, checked and durable.
Shards and the keys of spaces are not part of it.

The file records the number of rows and a digest of every table. With --check,
backup reads all of an existing FILE and compares it with these digests. That
needs no database. The exit code is then
  0  if the backup is intact
  3  if it is damaged
  1  if that is unknown: FILE can't be read, is not a backup, or was made by an
     older guppy, which recorded no digests`

func (a *app) backupCommand() *cobra.Command {
	var force, check bool
	command := &cobra.Command{
		Use: "backup FILE", Short: "Back up the repository to one file, while workers continue",
		Long: backupHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case check && force:
				return fmt.Errorf("%w: --check writes nothing: leave out --force", errUsage)
			case check:
				return a.checkBackup(cmd, args[0])
			}
			return a.backup(cmd, args[0], force)
		},
	}

	expandArgs(command, config.ExpandPath, 0)
	command.Flags().BoolVar(&check, "check", false, "read FILE, an existing backup, and report whether it is intact")
	command.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")

	return command
}

func (a *app) backup(cmd *cobra.Command, file string, force bool) (err error) {
	cfg, err := a.load(cmd)
	if err != nil {
		return err
	}

	ctx := cmd.Context()
	repo, err := a.openToBackUp(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.close()) }()
	if err := refuseOwnPlace(cfg, repo.db, file); err != nil {
		return err
	}

	err = a.showTransfer(ctx, repo.db.Describe(), file, restoring(cfg, file),
		func(progress copying.Progress) (copying.Content, error) {
			return backup.Write(ctx, repo.Repository, file, backup.Options{Overwrite: force, Progress: progress})
		})
	return hintForce(err)
}

// restoring returns a command that restores a backup beside it. If the configuration names a database, which only the
// user can replace by another one, the command reads the backup.
func restoring(cfg *config.Config, file string) string {
	engine, err := dialect.EngineOf(dialect.Settings{Type: cfg.Repo.DatabaseType, URL: cfg.Repo.DatabaseURL})
	if err == nil {
		usual, found := dialect.DefaultURL(engine, cfg.Repo.DataDir)
		if found && usual == cfg.Repo.DatabaseURL {
			place := strings.TrimSuffix(file, filepath.Ext(file)) + "-restored"
			return fmt.Sprintf(toRun+"restore %s --data-dir %s", shellQuoted(file), shellQuoted(place))
		}
	}
	return toRun + "backup --check " + shellQuoted(file)
}

// openToBackUp opens the database of repo.read_url, or the configured one past a pooler.
func (a *app) openToBackUp(ctx context.Context, cfg *config.Config) (*repository, error) {
	if cfg.Repo.ReadURL != "" {
		return a.openToRead(ctx, cfg)
	}
	if err := requireDataDir(cfg); err != nil {
		return nil, err
	}
	db, err := openSource(ctx, a.directSettings(cfg))
	if err != nil {
		return nil, err
	}
	return &repository{Repository: sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor)), db: db}, nil
}

const restoreHelp = `Restore copies a file that guppy backup has made into an empty database of any
engine. The file is not changed. Work that was under way when the backup was
made is continued by guppy upload.

The restored repository and its original must not both work on one store, or
remove from it: each removes shards that only the other one knows. To try a
restore, give it a copy of the store, or run only guppy check.`

func (a *app) restoreCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "restore FILE", Short: "Copy a backup into the configured database, which must be empty",
		Long: restoreHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd, args[0]) },
	}
	expandArgs(command, config.ExpandPath, 0)
	return command
}

func (a *app) restore(cmd *cobra.Command, file string) (err error) {
	cfg, err := a.load(cmd)
	if err != nil {
		return err
	}
	// A misspelt name must not create a data directory.
	if _, err := os.Stat(file); err != nil {
		return err
	}
	if err := makeDataDir(cfg); err != nil {
		return err
	}
	a.tidyDataDir(cfg)

	ctx := cmd.Context()

	// The backup is opened before the database, so that a bad file leaves no new database behind.
	rows := newTransferring("reading")
	stop := a.showProgress(ctx, rows.state)
	archive, err := backup.Open(ctx, file, cfg.Repo.DataDir, rows.report)
	stop()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()

	if archive.Unproven {
		a.log.Warn("the backup has no digests, because an older guppy made it: its rows can't be "+
			"compared with the original",
			"file", file)
	}

	db, err := a.openTarget(ctx, a.directSettings(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	target := sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor))
	return a.showTransfer(ctx, file, db.Describe(), toRun+"check",
		func(progress copying.Progress) (copying.Content, error) {
			return archive.Restore(ctx, target, progress)
		})
}
