package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// addStorePathFlags adds the flags that say where this host sees the stores of the repository.
func addStorePathFlags(flags *pflag.FlagSet) {
	flags.String("store", "", "take `STORE`, a directory or URL, as the place of the store whose marker is there")
	addStorePathFlag(flags)
}

func addStorePathFlag(flags *pflag.FlagSet) {
	flags.StringArray("store-path", nil, "`NAME=PATH`: place of a store on this host; may be repeated")
}

// tidyDataDir removes the leftovers of killed processes from the data directory. Leftovers that can't be removed
// do no harm.
func (a *app) tidyDataDir(cfg *config.Config) {
	if err := errors.Join(durable.SweepUnnamed(cfg.Repo.DataDir), backup.Sweep(cfg.Repo.DataDir)); err != nil {
		a.log.Warn("could not remove what killed processes left in the data directory", "reason", err)
	}
}

// storeOptions returns the options for opening any store.
func (a *app) storeOptions(cfg *config.Config, existing bool) store.Options {
	return store.Options{TempDir: cfg.Repo.DataDir, Existing: existing, RetryFor: cfg.Store.RetryFor, Log: a.log}
}

// configuredStore opens the store that --store or the configuration names by a path or URL. It creates nothing.
func (a *app) configuredStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, true))
}

// stores returns the stores of the repository as this host sees them. A store that --store gives is taken by its
// marker, or by its name.
func (a *app) stores(ctx context.Context, cfg *config.Config, repo *repository) (*known.Stores, error) {
	stores, err := a.storesByPath(ctx, cfg, repo)
	if err != nil || !cfg.ByFlag("prepare.store") {
		return stores, err
	}

	named, err := findStore(ctx, repo, cfg.Prepare.Store)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		stores.Given = cfg.Prepare.Store
		return stores, nil
	}
	stores.Unnamed = func(ctx context.Context) (store.Store, error) { return stores.Open(ctx, named.Identity) }
	return stores, err
}

// storesByPath is like stores but does not take --store into account.
func (a *app) storesByPath(ctx context.Context, cfg *config.Config, repo *repository) (*known.Stores, error) {
	stores := &known.Stores{
		Repo: repo, Options: a.storeOptions(cfg, true), Places: map[string]string{},
		Unnamed: func(ctx context.Context) (store.Store, error) { return a.configuredStore(ctx, cfg) },
	}

	for _, pair := range cfg.Store.Paths {
		name, path, _ := strings.Cut(pair, "=")
		row, err := findStore(ctx, repo, name)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			return nil, fmt.Errorf("%w: %s: there is no store %q: guppy store ls lists them", errUsage,
				cfg.Origin("store.paths"), name)
		}
		if err != nil {
			return nil, err
		}
		if _, err := store.ParseURL(path); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, cfg.Origin("store.paths"), err)
		}
		stores.Places[row.Identity] = path
	}
	return stores, nil
}

// findStore returns the store with this name, or sqlrepo.ErrNotFound.
func findStore(ctx context.Context, repo *repository, name string) (sqlrepo.Store, error) {
	rows, err := repo.Stores(ctx)
	if err != nil {
		return sqlrepo.Store{}, err
	}
	for _, row := range rows {
		if row.Name == name {
			return row, nil
		}
	}
	return sqlrepo.Store{}, fmt.Errorf("store %q: %w", name, sqlrepo.ErrNotFound)
}

// storeForUpload opens the store that the next upload of a source goes to: the one that --store names, or else that
// of its unfinished upload, of the space, or of the configuration. It creates the directory of a store that the
// repository does not know, unless it refuses to store the content of the source again.
func (a *app) storeForUpload(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	uploads []sqlrepo.Upload) (store.Store, error) {
	stores, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}

	usual := usualStore(space, uploads)
	if cfg.ByFlag("prepare.store") || usual == "" {
		named, err := findStore(ctx, repo, cfg.Prepare.Store)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			may := func(identity, url string) error {
				return a.refuseStoringAgain(ctx, repo, identity, url, space, uploads)
			}
			return a.openOrCreate(ctx, cfg, stores, may)
		}
		if err != nil {
			return nil, err
		}
		usual = named.Identity
	}

	files, err := stores.Open(ctx, usual)
	if err != nil {
		return nil, err
	}
	return files, a.refuseStoringAgain(ctx, repo, usual, files.URL(), space, uploads)
}

// usualStore returns the identity of the store that the next upload of a source goes to if nobody says otherwise,
// or "" if the repository knows none.
func usualStore(space sqlrepo.Space, uploads []sqlrepo.Upload) string {
	if len(uploads) > 0 {
		if latest := uploads[len(uploads)-1]; !latest.Closed() && latest.Store != "" {
			return latest.Store
		}
	}
	return space.Store
}

// openOrCreate opens the configured store and creates its directory if it does not exist, unless may returns an
// error for the identity and URL of the store. The identity is "" for a store that has none yet. If the repository
// has a store in that place and nothing is there, it is most likely not mounted, and openOrCreate returns
// store.ErrAbsent. It returns known.ErrUnmarked for a store that has lost its marker.
func (a *app) openOrCreate(ctx context.Context, cfg *config.Config, stores *known.Stores,
	may func(identity, url string) error) (store.Store, error) {
	files, err := a.configuredStore(ctx, cfg)
	if err == nil {
		err = a.refusePlace(ctx, stores, files, may)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return files, err
	}

	url, err := store.AbsoluteURL(cfg.Prepare.Store)
	if err != nil {
		return nil, err
	}
	if err := known.RefuseUnmounted(ctx, stores.Repo, url); err != nil {
		return nil, err
	}
	if err := may("", url); err != nil {
		return nil, err
	}
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, false))
}

// refusePlace returns an error for a store that must not be used where it is.
func (a *app) refusePlace(ctx context.Context, stores *known.Stores, files store.Store,
	may func(identity, url string) error) error {
	if err := known.RefuseUnmarked(ctx, stores.Repo, files); err != nil {
		return err
	}
	marker, err := files.Marker(ctx)
	if err != nil {
		return err
	}
	if err := may(marker, files.URL()); err != nil || marker == "" || marker == store.NoneIdentity {
		return err
	}
	return a.refuseSecondPlace(ctx, stores, files, marker)
}

// errTwoPlaces is returned for a store that is in two places.
var errTwoPlaces = errors.New("this store is in two places")

// refuseSecondPlace returns errTwoPlaces for a copy of a known store, if the store is also where the repository
// says: with shards in either place, neither would have all of them.
func (a *app) refuseSecondPlace(ctx context.Context, stores *known.Stores, files store.Store, marker string) error {
	at, row, err := stores.Find(ctx, marker)
	if errors.Is(err, store.ErrAbsent) {
		if row.URL != "" {
			a.log.Warn("the store is not where it was: guppy store set records where it is now, for all runs", "name", row.Name,
				"was", row.URL, "now", files.URL())
		}
		return nil
	}
	if err != nil || store.SamePlace(at.URL(), files.URL()) || store.SameDirectory(at, files) {
		return err
	}

	if err := known.Prove(ctx, at, row); err != nil {
		if errors.Is(err, store.ErrAbsent) {
			return nil
		}
		return err
	}
	return fmt.Errorf("%w: %w, %s and %s: guppy store set %s URL says which of them counts for all, and "+
		"--store-path %s=PATH for this run", errUsage, errTwoPlaces, at.URL(), files.URL(), row.Name, row.Name)
}

// refuseStoringAgain returns an error if the content of a source would be stored in another store than that of its
// latest complete upload, where all of it would be stored again, unless the user wants that.
func (a *app) refuseStoringAgain(ctx context.Context, repo *repository, identity, url string, space sqlrepo.Space,
	uploads []sqlrepo.Upload) error {
	if identity == store.NoneIdentity || url == store.NoneURL {
		return nil
	}

	var latest sqlrepo.Upload
	for _, upload := range uploads {
		if upload.State != sqlrepo.Complete || upload.Store == store.NoneIdentity {
			continue
		}
		if upload.Store == identity || upload.Store == "" {
			return nil
		}
		latest = upload
	}
	if latest.ID == 0 || a.storeAgain {
		return nil
	}

	rows, err := repo.Stores(ctx)
	if err != nil {
		return err
	}
	name := latest.Store
	for _, row := range rows {
		if row.Identity == latest.Store {
			name = row.Name
		}
	}
	return fmt.Errorf("%w: upload %d has this source in store %q: in %s all of it would be stored again, %s, %s. "+
		"To go on in %s, use --store %s; to make another store that of the space, guppy store default %s NAME; to store "+
		"everything again, --store-again", errUsage, latest.ID, name, url, plural(latest.Files, "file"),
		progress.Bytes(latest.Bytes), name, name, space.Name)
}

// storeURLs returns where the stores of the repository are, by identity.
func storeURLs(ctx context.Context, repo *repository) (map[string]string, error) {
	rows, err := repo.Stores(ctx)
	urls := map[string]string{}
	for _, row := range rows {
		urls[row.Identity] = row.URL
	}
	return urls, err
}

// storeDirectories returns the directories of the stores that the repository knows and of the configured one, as far as
// this host may see them.
func storeDirectories(ctx context.Context, cfg *config.Config, repo *repository) ([]string, error) {
	rows, err := repo.Stores(ctx)
	if err != nil {
		return nil, err
	}

	urls := []string{cfg.Prepare.Store}
	for _, row := range rows {
		urls = append(urls, row.URL)
	}
	for _, pair := range cfg.Store.Paths {
		_, path, _ := strings.Cut(pair, "=")
		urls = append(urls, path)
	}

	var directories []string
	for _, url := range urls {
		if place, err := store.ParseURL(url); err == nil && place.Directory != "" {
			directories = append(directories, place.Directory)
		}
	}
	return directories, nil
}
