package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// addStore makes a store known, and its directory if it does not exist.
func (a *app) addStore(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
	name, place := args[0], args[1]
	if err := known.ValidName(name); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	if _, err := rows.named(name); err == nil {
		return fmt.Errorf("store %q: %w: guppy store set %s %s records that it has moved there", name, sqlrepo.ErrExists,
			name, shellQuoted(place))
	}
	if err := refuseDirectory(ctx, cfg, repo, place); err != nil {
		return err
	}
	if err := rows.refuseNested(ctx, cfg, place); err != nil {
		return err
	}

	// Nobody waits for a place that may be wrong.
	given := *cfg
	given.Prepare.Store, given.Store.RetryFor = place, 0
	files, err := a.openOrCreate(ctx, &given, stores, func(string, string) error { return nil })
	if err != nil {
		return err
	}
	identity, err := refuseOtherFiles(ctx, files)
	if err != nil {
		return err
	}

	row, added, err := known.Register(ctx, repo, files, name)
	if err != nil {
		return err
	}
	if !added {
		return fmt.Errorf("%s is store %q already (%s): %w", files.URL(), row.Name, row.Identity, sqlrepo.ErrExists)
	}

	if identity != "" && identity != store.NoneIdentity {
		blob, err := foreignBlob(ctx, repo, files, identity)
		if err != nil {
			return err
		}
		if blob != "" {
			a.log.Warn("this is the store of another repository: uploads can share it, but it can't be a replica", "store",
				name, "file", blob)
		}
	}
	view := newKnownStore(row)
	return a.print(view, view.text)
}

// refuseDirectory returns an error for a directory that can't be a store: guppy's own, a source, or one in a source.
func refuseDirectory(ctx context.Context, cfg *config.Config, repo *repository, place string) error {
	parsed, err := store.ParseURL(place)
	if err != nil || parsed.Directory == "" {
		return err
	}
	there, err := existingAbove(parsed.Directory)
	if err != nil {
		return err
	}

	own, err := os.Stat(cfg.Repo.DataDir)
	info, missing := os.Stat(parsed.Directory)
	isOwn := err == nil && missing == nil && os.SameFile(own, info)
	if isOwn || errors.Is(source.RefuseWithin(there, keysDirectory(cfg)), source.ErrOwnFiles) {
		return fmt.Errorf("%w: %s is a directory of guppy's own: name another place for the store", errUsage, place)
	}

	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return err
	}
	for _, space := range spaces {
		sources, err := repo.Sources(ctx, space.ID)
		if err != nil {
			return err
		}
		for _, row := range sources {
			err := source.RefuseWithin(there, string(row.Path))
			if errors.Is(err, source.ErrOwnFiles) {
				err = fmt.Errorf("%w: %s lies in %s, the source %q of space %q: name a place outside of it", errUsage, place,
					row.Path, row.Name, space.Name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// existingAbove returns a directory if it is there, or else the one above it that is.
func existingAbove(directory string) (string, error) {
	at, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			return at, nil
		}
		at = filepath.Dir(at)
	}
}

// refuseOtherFiles returns the identity of a store, or an error if it has none and files of another kind are there.
func refuseOtherFiles(ctx context.Context, files store.Store) (identity string, err error) {
	identity, err = files.Marker(ctx)
	if err != nil || identity != "" {
		return identity, err
	}

	other := ""
	for file, err := range files.Committed(ctx) {
		if err != nil {
			return "", err
		}
		if _, ours := trash.ParseName(file.Name); !ours {
			other = file.Name
			break
		}
	}

	// Directories are not listed as files of a store.
	if place, err := store.ParseURL(files.URL()); err == nil && place.Directory != "" && other == "" {
		entries, err := os.ReadDir(place.Directory)
		if err != nil {
			return "", err
		}
		for _, entry := range entries {
			// A file system of its own may have been made for the store.
			if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && entry.Name() != "lost+found" {
				other = entry.Name()
			}
		}
	}
	if other == "" {
		return "", nil
	}
	return "", fmt.Errorf("%w: %s has other files, such as %q, and is not a store yet: name an empty place", errUsage,
		files.URL(), other)
}
