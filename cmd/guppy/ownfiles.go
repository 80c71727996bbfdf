package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/identity"
	"github.com/guppy-prep/guppy/internal/source"
)

// refuseOwnOutput returns an error for an output inside guppy's own directories, or in place of the database.
func refuseOwnOutput(cfg *config.Config, repo *repository, out string) error {
	places := []string{filepath.Dir(out)}
	if target, err := filepath.EvalSymlinks(out); err == nil {
		// The output is written where a symlink leads.
		places = append(places, filepath.Dir(target))
	}

	if info, err := os.Stat(out); err == nil && info.IsDir() {
		places = []string{out}
	}

	for _, place := range places {
		if err := source.RefuseWithin(place, cfg.Repo.DataDir, cfg.Prepare.StoreDirectory()); err != nil {
			return err
		}
	}
	return refuseDatabaseFile(repo.db, out)
}

// visibleFiles returns the file system without guppy's own files.
func visibleFiles(ctx context.Context, cfg *config.Config, repo *repository, files source.FS) (source.FS, error) {
	hidden, err := ownFiles(cfg)
	if err != nil {
		return nil, err
	}
	stores, err := storeDirectories(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	// What is not there can't be in the source.
	for _, directory := range stores {
		if _, err := os.Stat(filepath.Dir(directory)); err == nil {
			hidden = append(hidden, directory)
		}
	}

	// Some engines keep the database in files, which may be inside the source.
	database, err := dialect.Files(repo.db.Settings)
	if err != nil {
		return nil, err
	}
	return source.Hide(files, append(hidden, database...)...)
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

// refuseOwnFiles returns an error for a source in the data directory.
func refuseOwnFiles(cfg *config.Config, path string) error {
	ownPaths, err := ownFiles(cfg)
	if err != nil {
		return err
	}
	return source.RefuseWithin(path, ownPaths...)
}

// refuseOwnPlace refuses to write a backup over a file of the database or into the directories of the keys and
// the shards.
func refuseOwnPlace(cfg *config.Config, db *dialect.DB, file string) error {
	if file == "" {
		return fmt.Errorf("%w: the name of the backup is empty", errUsage)
	}

	directory := filepath.Dir(file)
	if _, err := os.Stat(directory); err != nil {
		return fmt.Errorf("directory of the backup: %w", err)
	}

	if err := source.RefuseWithin(directory, keysDirectory(cfg),
		cfg.Prepare.StoreDirectory()); err != nil {
		return err
	}
	return refuseDatabaseFile(db, file)
}

// refuseDatabaseFile refuses to write over a file of the database.
func refuseDatabaseFile(db *dialect.DB, file string) error {
	databaseFiles, err := dialect.Files(db.Settings)
	if err != nil {
		return err
	}
	// A file that does not exist is nobody's, so the errors do not matter.
	present, _ := os.Stat(file)
	at, _ := os.Stat(filepath.Dir(file))

	// Names are compared because a file of the database may not exist yet, identities because a link has another
	// name.
	for _, path := range databaseFiles {
		beside, err := os.Stat(filepath.Dir(path))
		named := err == nil && at != nil && os.SameFile(at, beside) && filepath.Base(path) == filepath.Base(file)
		info, err := os.Stat(path)
		if named || err == nil && present != nil && os.SameFile(info, present) {
			return fmt.Errorf("%w: %s is a file of the database itself", errUsage, file)
		}
	}

	return nil
}
