package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// addStorePathFlags adds the flags that say where this host sees the stores of the repository.
func addStorePathFlags(flags *pflag.FlagSet) {
	flags.String("store", "", "look for a store in `STORE`, a directory or URL: its marker says which one it is")
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
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil || !cfg.ByFlag("prepare.store") {
		return stores, err
	}

	named, err := rows.named(cfg.Prepare.Store)
	if err != nil {
		stores.Given = cfg.Prepare.Store
		return stores, nil
	}
	stores.Unnamed = func(ctx context.Context) (store.Store, error) { return stores.Open(ctx, named.Identity) }
	return stores, nil
}

// storesByPath is like stores but does not take --store into account. It also returns the rows of the stores.
func (a *app) storesByPath(ctx context.Context, cfg *config.Config,
	repo *repository) (*known.Stores, storeRows, error) {
	var replicas []string
	var looking errgroup.Group
	looking.Go(func() (err error) {
		replicas, err = repo.ReplicasOf(ctx, "")
		return err
	})

	rows, err := findStores(ctx, repo)
	if err := errors.Join(err, looking.Wait()); err != nil {
		return nil, nil, err
	}
	places, err := rows.places(cfg)
	if err != nil {
		return nil, nil, err
	}
	return &known.Stores{
		Repo: repo, Options: a.storeOptions(cfg, true), Places: places, Patience: rows.patience(replicas),
		Unnamed: func(ctx context.Context) (store.Store, error) { return a.configuredStore(ctx, cfg) },
	}, rows, nil
}

// storeRows are the stores that the repository knows.
type storeRows []sqlrepo.Store

func findStores(ctx context.Context, repo *repository) (storeRows, error) { return repo.Stores(ctx) }

// findStore returns the store with this name, or sqlrepo.ErrNotFound.
func findStore(ctx context.Context, repo *repository, name string) (sqlrepo.Store, error) {
	rows, err := findStores(ctx, repo)
	if err != nil {
		return sqlrepo.Store{}, err
	}
	return rows.named(name)
}

// named returns the store with this name, or sqlrepo.ErrNotFound, which suggests the names of others.
func (rows storeRows) named(name string) (sqlrepo.Store, error) {
	for _, row := range rows {
		if row.Name == name {
			return row, nil
		}
	}
	return sqlrepo.Store{}, fmt.Errorf("store %q: %w%s", name, sqlrepo.ErrNotFound,
		config.DidYouMean("", name, namesOf(rows, storeName)))
}

// without returns the other stores.
func (rows storeRows) without(row sqlrepo.Store) storeRows {
	return slices.DeleteFunc(slices.Clone(rows), func(other sqlrepo.Store) bool { return other.Identity == row.Identity })
}

// nameOf returns the name of the store with this identity, or the identity of a store that is not known.
func (rows storeRows) nameOf(identity string) string {
	for _, row := range rows {
		if row.Identity == identity {
			return row.Name
		}
	}
	return identity
}

// patience limits how long the servers of stores are waited for that have nothing but copies: no upload needs them.
func (rows storeRows) patience(replicas []string) map[string]time.Duration {
	limits := map[string]time.Duration{}
	for _, row := range rows {
		if row.SeenAt.IsZero() && slices.Contains(replicas, row.Identity) {
			limits[row.Identity] = replicaPatience
		}
	}
	return limits
}

// places returns where this host sees stores, by identity, if that is not where the repository says.
func (rows storeRows) places(cfg *config.Config) (map[string]string, error) {
	places := map[string]string{}

	// Locations that older versions recorded do not name the server of a bucket. The configuration may.
	for _, row := range rows {
		if strings.HasPrefix(row.URL, "s3:") && !strings.Contains(row.URL, "?") && cfg.IsSet("prepare.store") &&
			store.SamePlace(row.URL, cfg.Prepare.Store) {
			places[row.Identity] = cfg.Prepare.Store
		}
	}

	for _, pair := range cfg.Store.Paths {
		name, path, _ := strings.Cut(pair, "=")
		row, err := rows.named(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: there is no store %q: guppy store ls lists them", errUsage,
				cfg.Origin("store.paths"), name)
		}
		if _, err := store.ParseURL(path); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, cfg.Origin("store.paths"), err)
		}
		places[row.Identity] = path
	}
	return places, nil
}

// storeForUpload opens the store that the next upload of a source goes to: the one that --store names, or else that
// of its unfinished upload, of the space, or of the configuration. It creates the directory of a store that the
// repository does not know, unless it refuses to store the content of the source again.
func (a *app) storeForUpload(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	uploads []sqlrepo.Upload) (store.Store, error) {
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}

	usual := usualStore(space, uploads)
	if cfg.ByFlag("prepare.store") || usual == "" {
		named, err := rows.named(cfg.Prepare.Store)
		if err != nil {
			may := func(identity, url string) error { return a.refuseStoringAgain(rows, identity, url, uploads) }
			return a.openOrCreate(ctx, cfg, stores, may)
		}
		usual = named.Identity
	}

	files, err := stores.Open(ctx, usual)
	if err == nil {
		err = a.refuseMappedCopy(ctx, stores, files, usual)
	}
	if err == nil {
		err = a.refuseStoringAgain(rows, usual, files.URL(), uploads)
	}
	return files, err
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
	rows, err := stores.Repo.Stores(ctx)
	if err != nil {
		return nil, err
	}
	if err := known.RefuseUnmounted(rows, url); err != nil {
		return nil, err
	}
	if err := may("", url); err != nil {
		return nil, err
	}
	if err := storeRows(rows).refuseNested(ctx, cfg, cfg.Prepare.Store); err != nil {
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

// errTwoPlaces is returned for a store that would be used in another place than the repository says.
var errTwoPlaces = errors.New("with shards in two places, neither has all of them")

// refuseSecondPlace returns errTwoPlaces for a known store that is not where it should be: it may be a copy.
func (a *app) refuseSecondPlace(ctx context.Context, stores *known.Stores, files store.Store, marker string) error {
	row, err := stores.Row(ctx, marker)
	if errors.Is(err, store.ErrAbsent) {
		return nil // the repository does not know it yet
	}
	if err != nil {
		return err
	}

	place := cmp.Or(stores.Places[marker], row.URL)
	if place == "" || a.isAt(ctx, place, files) {
		return nil
	}
	return fmt.Errorf("%w: store %q is at %s, and not at %s: %w. If it has moved, run guppy store set %s %s; if only "+
		"this host sees it there, use --store-path %s", errUsage, row.Name, place, files.URL(), errTwoPlaces, row.Name,
		shellQuoted(files.URL()), shellQuoted(row.Name+"="+files.URL()))
}

// refuseMappedCopy returns errTwoPlaces for a store in a place of this host's own if it is also where the
// repository says.
func (a *app) refuseMappedCopy(ctx context.Context, stores *known.Stores, files store.Store, identity string) error {
	if stores.Places[identity] == "" {
		return nil
	}
	row, err := stores.Row(ctx, identity)
	if err != nil || a.isAt(ctx, row.URL, files) {
		return err
	}

	options := stores.Options
	options.RetryFor = 0
	other, err := store.OpenURL(ctx, row.URL, options)
	if err != nil {
		return ctx.Err() // it is not to be seen from here
	}
	if marker, err := other.Marker(ctx); err != nil || marker != identity {
		return ctx.Err()
	}
	return fmt.Errorf("%w: store %q is at %s and at %s: %w. If the second one counts, run guppy store set %s %s", errUsage,
		row.Name, other.URL(), files.URL(), errTwoPlaces, row.Name, shellQuoted(files.URL()))
}

// isAt reports whether a store is in a place, by whatever path.
func (a *app) isAt(ctx context.Context, place string, files store.Store) bool {
	url, err := store.AbsoluteURL(place)
	if err == nil && store.SamePlace(url, files.URL()) {
		return true
	}
	parsed, err := store.ParseURL(place)
	if err != nil || parsed.Directory == "" || ctx.Err() != nil {
		return false
	}
	other, err := store.OpenExisting(parsed.Directory)
	return err == nil && store.SameDirectory(other, files)
}

// refuseStoringAgain returns an error if the content of a source would be stored in another store than that of its
// latest complete upload, where all of it would be stored again, unless the user wants that.
func (a *app) refuseStoringAgain(rows storeRows, identity, url string, uploads []sqlrepo.Upload) error {
	// What an unfinished upload has stored binds it.
	if len(uploads) > 0 {
		last := uploads[len(uploads)-1]
		if !last.Closed() && last.Store != "" && last.Store != identity && last.SettledShards > 0 {
			return fmt.Errorf("upload %d: %w", last.ID, sqlrepo.ErrOtherStore)
		}
	}
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

	name := rows.nameOf(latest.Store)
	return fmt.Errorf("%w: upload %d has this source in store %q: in %s all of it would be stored again, %s, %s. "+
		"To go on in %s, use --store %s; to store everything again, --store-again", errUsage, latest.ID, name, url,
		plural(latest.Files, "file"), progress.Bytes(latest.Bytes), name, name)
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
// they are there. A place that only another host sees may be anything else here.
func storeDirectories(ctx context.Context, cfg *config.Config, repo *repository) ([]string, error) {
	rows, err := findStores(ctx, repo)
	if err != nil {
		return nil, err
	}
	return rows.directories(ctx, cfg)
}

// directories is like storeDirectories for the rows of stores.
func (rows storeRows) directories(ctx context.Context, cfg *config.Config) ([]string, error) {
	places, err := rows.places(cfg)
	if err != nil {
		return nil, err
	}

	var directories []string
	for _, row := range rows {
		place, err := store.ParseURL(cmp.Or(places[row.Identity], row.URL))
		if err != nil || place.Directory == "" {
			continue
		}
		files, err := store.OpenExisting(place.Directory)
		if err != nil {
			continue // what is not there can't be in the source
		}
		if marker, err := files.Marker(ctx); err != nil || marker == row.Identity {
			directories = append(directories, place.Directory)
		}
	}

	// The configured store may be a new one, unless it is a name.
	if _, err := rows.named(cfg.Prepare.Store); err != nil && cfg.Prepare.StoreDirectory() != "" {
		directories = append(directories, cfg.Prepare.StoreDirectory())
	}
	slices.Sort(directories)
	return directories, nil
}

// refuseNested returns an error for the directory of a new store that lies in that of another one, or has one in it: a
// removal of the outer store's directory, or a copy of it, would be one of both.
func (rows storeRows) refuseNested(ctx context.Context, cfg *config.Config, place string) error {
	parsed, err := store.ParseURL(place)
	if err != nil || parsed.Directory == "" {
		return err
	}
	there, err := existingAbove(parsed.Directory)
	if err != nil {
		return err
	}
	directories, err := rows.directories(ctx, cfg)
	if err != nil {
		return err
	}

	own, missing := os.Stat(parsed.Directory)
	for _, directory := range directories {
		other, err := os.Stat(directory)
		if err != nil || missing == nil && os.SameFile(own, other) {
			continue
		}
		inner, outer := place, directory
		err = source.RefuseWithin(there, directory)
		if err == nil {
			inner, outer = directory, place
			err = source.RefuseWithin(directory, parsed.Directory)
		}
		if errors.Is(err, source.ErrOwnFiles) {
			return fmt.Errorf("%w: %s lies in %s, and both would be stores: name a place outside of any store", errUsage, inner,
				outer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseStore returns an error if a path is the directory of a store.
func refuseStore(ctx context.Context, cfg *config.Config, repo *repository, path string) error {
	in, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	directories, err := storeDirectories(ctx, cfg, repo)
	if err != nil {
		return err
	}
	for _, directory := range directories {
		if info, err := os.Stat(directory); err == nil && os.SameFile(in, info) {
			return fmt.Errorf("%w: %s is the store of the shards", errUsage, path)
		}
	}
	return nil
}
