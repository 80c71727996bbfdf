package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) storeCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "store", Short: "Add, list, move, check, copy and sync stores", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	add := &cobra.Command{
		Use: "add NAME URL", Short: "Make a store known: an existing one, or a new directory or prefix of a bucket",
		Args: usageArgs(cobra.ExactArgs(2)), RunE: a.openingCommand(making, a.addStore),
	}
	lost := false
	set := &cobra.Command{
		Use: "set STORE URL", Short: "Record where a store is now: the marker there has to be the same", Long: storeSetHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			return a.setStore(ctx, cfg, repo, args[0], args[1], lost)
		}),
	}
	set.Flags().BoolVar(&lost, "lost", false, "the files are lost: begin again in an empty place")
	usual := &cobra.Command{
		Use: "default SPACE STORE", Short: "Send new uploads of a space to a store",
		Args: usageArgs(cobra.ExactArgs(2)), RunE: a.repositoryCommand(a.setDefaultStore),
	}
	remove := &cobra.Command{
		Use: "rm STORE", Short: "Forget a store in which nothing lies",
		Args: usageArgs(cobra.ExactArgs(1)), RunE: a.repositoryCommand(a.forgetStore),
	}

	expandArgs(add, config.ExpandStore, 1)
	expandArgs(set, config.ExpandStore, 1)

	command.AddCommand(add, a.storeLsCommand(), set, usual, remove, a.storeCheckCommand(), a.storeCopyCommand(),
		a.storeSyncCommand())
	return command
}

const storeSetHelp = `Set records that a store has moved, with all of its files and its marker. It
fails while anybody is at work, who would go on in the old place.

With --lost, what the store had is lost, and it begins again in an empty place,
with the same identity: guppy check --repair --yes then copies everything there
that its uploads need and other stores have. A replica lacks everything again:
guppy store sync sends it, or the workers do if it is a replica of a space.`

// setStore records where a store is now.
func (a *app) setStore(ctx context.Context, cfg *config.Config, repo *repository, name, place string,
	lost bool) (err error) {
	row, err := findStore(ctx, repo, name)
	if err != nil {
		return err
	}
	if row.Identity == store.NoneIdentity {
		return fmt.Errorf("%w: a store %s is everywhere", errUsage, store.NoneURL)
	}

	// A worker would go on in the old place.
	ctx, lock, err := check.Lock(ctx, repo.Repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()

	// Nobody waits for a place that may be wrong.
	options := a.storeOptions(cfg, !lost)
	options.RetryFor = 0
	files, err := store.OpenURL(ctx, place, options)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", store.ErrAbsent, err)
	}
	if err != nil {
		return err
	}

	if lost {
		if err := beginAgain(ctx, files, row); err != nil {
			return err
		}
	}
	marker, err := files.Marker(ctx)
	if err == nil && marker != row.Identity {
		err = fmt.Errorf("%w: %s is not store %q: its marker file .guppy-store has to hold %s, as in the store or a "+
			"complete copy of it (guppy store copy %s %s)", store.ErrAbsent, files.URL(), row.Name, row.Identity, row.Name,
			shellQuoted(place))
	}
	if err != nil {
		return err
	}

	record := repo.SetStoreURL
	if lost {
		record = repo.LoseStore
	}
	err = record(ctx, row.Identity, files.URL())
	if err != nil {
		return err
	}

	row.URL = files.URL()
	view := newKnownStore(row)
	return a.print(view, view.text)
}

// beginAgain gives an empty place the identity of a store that is lost.
func beginAgain(ctx context.Context, files store.Store, row sqlrepo.Store) error {
	for file, err := range files.Committed(ctx) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: %s is not empty: %s is there", errUsage, files.URL(), file.Name)
	}

	marker, err := files.Marker(ctx)
	if err != nil || marker == row.Identity {
		return err
	}
	return files.Mark(ctx, row.Identity)
}

// setDefaultStore makes a store the one of a space.
func (a *app) setDefaultStore(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
	space, err := repo.FindSpace(ctx, args[0])
	if err != nil {
		return err
	}
	rows, err := findStores(ctx, repo)
	if err != nil {
		return err
	}
	row, err := rows.named(args[1])
	if err != nil {
		return err
	}

	// The replicas of the space are to be further copies of what goes to its store.
	if row.Identity == store.NoneIdentity && space.Replicas > 0 {
		return errNothingToSend
	}
	if err := refuseReplicaAsStore(ctx, repo, rows, space, row.Identity); err != nil {
		return err
	}
	if err := repo.SetSpaceStore(ctx, space.ID, row.Identity); err != nil {
		return err
	}

	view := defaultStoreView{newSpaceRef(space), newStoreRef(row)}
	return a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "new uploads of space %s go to store %s\n", printable(space.Name), row.Name)
	})
}

// defaultStoreView is the output of store default.
type defaultStoreView struct {
	spaceRef
	storeRef
}

// forgetStore removes a store from the repository if nothing lies in it. Its marker stays.
func (a *app) forgetStore(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
	row, err := findStore(ctx, repo, args[0])
	if err != nil {
		return err
	}

	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return err
	}
	if err := refuseUsed(ctx, repo, row); err != nil {
		return err
	}
	// What is in a store that this repository never used belongs to another one.
	replicas, err := repo.ReplicasOf(ctx, "")
	if err == nil && (!row.SeenAt.IsZero() || slices.Contains(replicas, row.Identity)) {
		err = refuseFilled(ctx, stores, row)
	}
	if err != nil {
		return err
	}

	err = repo.RemoveStore(ctx, row.Identity)
	if errors.Is(err, sqlrepo.ErrStoreInUse) { // since a moment ago
		err = cmp.Or(refuseUsed(ctx, repo, row), err)
	}
	if err != nil {
		return err
	}

	view := newKnownStore(row)
	return a.print(view, func(w io.Writer) { fmt.Fprintf(w, "forgot store %s at %s\n", row.Name, printable(row.URL)) })
}

// refuseUsed returns an error if uploads or spaces have a store. It says what ends each use.
func refuseUsed(ctx context.Context, repo *repository, row sqlrepo.Store) error {
	views, err := storeViews(ctx, repo)
	if err != nil {
		return err
	}

	var uses []string
	for _, view := range views {
		if view.StoreIdentity != row.Identity {
			continue
		}
		if view.Uploads > 0 {
			uses = append(uses, plural(view.Uploads, "upload")+" went there: guppy upload rm --yes UPLOAD removes one, and "+
				"guppy gc --yes what is left of removed ones")
		}
		for _, space := range view.Spaces {
			uses = append(uses, fmt.Sprintf("new uploads of space %q go there: guppy store default %s NAME sends them elsewhere",
				space, shellQuoted(space)))
		}
		for _, replica := range view.Replicas {
			if replica.Space != "" {
				uses = append(uses, fmt.Sprintf("it is a replica of space %q: guppy space set %s --no-replica %s ends that",
					replica.Space, shellQuoted(replica.Space), row.Name))
			}
		}
	}
	if len(uses) == 0 {
		return nil
	}
	return fmt.Errorf("store %q: %w: %s", row.Name, sqlrepo.ErrStoreInUse, strings.Join(uses, "; "))
}

// refuseFilled returns an error if a store is there and has shards or indexes.
func refuseFilled(ctx context.Context, stores *known.Stores, row sqlrepo.Store) error {
	files, err := stores.Open(ctx, row.Identity)
	if errors.Is(err, store.ErrAbsent) {
		return nil // the rows of uploads decide
	}
	if err != nil {
		return err
	}

	name, err := known.FirstBlob(ctx, files)
	if err == nil && name != "" {
		err = fmt.Errorf("store %q: %w: %s is there; guppy gc --strays --yes removes what belongs to no upload. "+
			"Copies that it has as a replica stay: move its files away, and run this command again", row.Name,
			sqlrepo.ErrStoreInUse, name)
	}
	return err
}
