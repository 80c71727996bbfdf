package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

const backupHelp = `Backup writes all rows, as of one moment, to a SQLite file, whatever the engine. The file has
its name once it is complete, checked and durable. Shards and the keys of spaces are not in it.

The file carries how many rows each table has, and digests of them. With --check, FILE is a backup that is there:
all of it is read and compared with those, without a database. Exit codes are then 0 for a backup that is whole, 3
for one that is damaged, and 1 if it can't be told: the file can't be read, is no backup, or was made by an older
guppy, which wrote no digests. With --json it prints one object: file, whole (absent if it can't be told), version
of the schema, tables (a list of table, rows and digest) and error.`

func (a *app) backupCommand() *cobra.Command {
	var force, check bool
	command := &cobra.Command{
		Use: "backup FILE", Short: "Write the whole repository to one file, while workers go on",
		Long: backupHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case check && force:
				return fmt.Errorf("%w: --check changes nothing: --force goes without it", errUsage)
			case check:
				return a.checkBackup(cmd, args[0])
			}
			return a.backup(cmd, args[0], force)
		},
	}

	command.Flags().BoolVar(&check, "check", false, "read FILE, a backup, and say whether it is whole")
	command.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")

	return command
}

func (a *app) backup(cmd *cobra.Command, file string, force bool) (err error) {
	cfg, err := a.load(cmd)
	if err != nil {
		return err
	}
	if err := requireDataDir(cfg); err != nil {
		return err
	}

	ctx := cmd.Context()
	db, err := openSource(ctx, a.directSettings(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := refuseOwnPlace(cfg, db, file); err != nil {
		return err
	}

	repo := sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor))
	err = a.showTransfer(ctx, db.Describe(), file, func(tell copying.Progress) (copying.Content, error) {
		return backup.Write(ctx, repo, file, backup.Options{Overwrite: force, Progress: tell})
	})

	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: choose another name, or replace it with --force", err)
	}
	return err
}

// refuseOwnPlace refuses to write a backup over a file of the database or into the directories of the keys and
// the shards.
func refuseOwnPlace(cfg *config.Config, db *dialect.DB, file string) error {
	if file == "" {
		return fmt.Errorf("%w: the name of the backup is empty", errUsage)
	}

	directory := filepath.Dir(file)
	at, err := os.Stat(directory)
	if err != nil {
		return fmt.Errorf("directory of the backup: %w", err)
	}

	if err := source.RefuseWithin(directory, keysDirectory(cfg),
		cfg.Prepare.StoreDirectory()); err != nil {
		return err
	}

	own, err := dialect.Files(db.Settings)
	if err != nil {
		return err
	}
	// A file that does not exist is nobody's, so the error does not matter.
	there, _ := os.Stat(file)

	// Names are compared because a file of the database may not exist yet, identities because a link has another
	// name.
	for _, path := range own {
		beside, err := os.Stat(filepath.Dir(path))
		named := err == nil && os.SameFile(at, beside) && filepath.Base(path) == filepath.Base(file)
		info, err := os.Stat(path)
		if named || err == nil && there != nil && os.SameFile(info, there) {
			return fmt.Errorf("%w: %s is a file of the database itself", errUsage, file)
		}
	}

	return nil
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Copy a backup into the configured database, which must be empty",
		Long: "Restore copies a file that guppy backup has made into an empty database, of whatever engine. The file is\n" +
			"not changed. Work that was under way when the backup was made goes on with guppy upload.\n\n" +
			"What is restored and its original must not both work on one store, or remove from it: each removes shards\n" +
			"that only the other one knows. To try a restore, give it a copy of the store, or run only guppy check.",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd, args[0]) },
	}
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
	archive, err := backup.Open(ctx, file, cfg.Repo.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()

	if archive.Unproven {
		a.log.Warn("the backup carries no digests, since an older guppy made it: its rows can't be compared "+
			"with the original",
			"file", file)
	}

	db, err := a.openTarget(ctx, a.directSettings(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	target := sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor))
	return a.showTransfer(ctx, file, db.Describe(), func(tell copying.Progress) (copying.Content, error) {
		return archive.Restore(ctx, target, tell)
	})
}
