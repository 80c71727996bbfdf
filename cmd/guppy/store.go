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
	"github.com/guppy-prep/guppy/internal/preparing/trash"
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
	gone := false
	remove := &cobra.Command{
		Use: "rm STORE", Short: "Forget a store in which nothing lies", Long: storeRmHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			return a.forgetStore(ctx, cfg, repo, args[0], gone)
		}),
	}
	remove.Flags().BoolVar(&gone, "lost", false, "the store is away for good: nobody can look what lies there")

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
	_, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	row, err := rows.named(name)
	if err != nil {
		return err
	}
	if row.Identity == store.NoneIdentity {
		return fmt.Errorf("%w: a store %s is everywhere", errUsage, store.NoneURL)
	}
	if err := rows.without(row).refuseNested(ctx, cfg, place); err != nil {
		return err
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
	if err := a.warnOfStoringAgain(ctx, repo, rows, space, row); err != nil {
		return err
	}

	view := defaultStoreView{newSpaceRef(space), newStoreRef(row)}
	return a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "new uploads of space %s go to store %s\n", printable(space.Name), row.Name)
	})
}

// warnOfStoringAgain says which sources of a space can't go on without a flag, since their content is in another store.
func (a *app) warnOfStoringAgain(ctx context.Context, repo *repository, rows storeRows, space sqlrepo.Space,
	row sqlrepo.Store) error {
	sources, err := repo.Sources(ctx, space.ID)
	if err != nil {
		return err
	}
	for _, source := range sources {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &source.ID})
		if err != nil {
			return err
		}
		if refused := a.refuseStoringAgain(rows, row.Identity, row.URL, uploads); refused != nil {
			a.log.Warn("the next upload of a source will be refused", "source", source.Name, "reason",
				strings.TrimPrefix(refused.Error(), errUsage.Error()+": "))
		}
	}
	return nil
}

// defaultStoreView is the output of store default.
type defaultStoreView struct {
	spaceRef
	storeRef
}

const storeRmHelp = `Rm forgets a store that no upload and no space has. Its directory or bucket
stays. A store in which files of this repository lie is refused, and the error
names the command that removes them. A store that is away is refused as well,
unless --lost says that it does not come back: nobody can look what lies there.
Files of another repository stay, and the output names one of them.`

// forgetStore removes a store from the repository if nothing of this repository lies in it. Its marker stays.
func (a *app) forgetStore(ctx context.Context, cfg *config.Config, repo *repository, name string, lost bool) error {
	row, err := findStore(ctx, repo, name)
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
	foreign, err := refuseFilled(ctx, repo, stores, row, lost)
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
	return a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "forgot store %s at %s\n", row.Name, printable(row.URL))
		if foreign != "" {
			fmt.Fprintf(w, "what lies there stays, such as %s: it is another repository's\n", foreign)
		}
	})
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
		} else if view.removed > 0 {
			uses = append(uses, "something is left there of "+plural(view.removed, "removed upload")+
				": guppy gc --yes removes it")
		}
		for _, space := range view.Spaces {
			uses = append(uses, fmt.Sprintf("new uploads of space %q go there: guppy store default %s NAME sends them elsewhere",
				space, arguments(space)))
		}
		for _, replica := range view.Replicas {
			if replica.Space != "" {
				uses = append(uses, fmt.Sprintf("it is a replica of space %q: guppy space set --no-replica %s %s ends that",
					replica.Space, row.Name, arguments(replica.Space)))
			}
		}
	}
	if len(uses) == 0 {
		return nil
	}
	return fmt.Errorf("store %q: %w: %s", row.Name, sqlrepo.ErrStoreInUse, strings.Join(uses, "; "))
}

// refuseFilled returns an error if a store has shards or indexes of this repository, or may have some and is away. It
// returns the name of a file of another repository, if there is one.
func refuseFilled(ctx context.Context, repo *repository, stores *known.Stores, row sqlrepo.Store,
	lost bool) (foreign string, err error) {
	if row.Identity == store.NoneIdentity {
		return "", nil
	}
	use, err := useOf(ctx, repo, row)
	if err != nil {
		return "", err
	}

	// Nobody waits for a server to learn what lies there.
	files, err := stores.Open(store.WithoutPatience(ctx), row.Identity)
	switch {
	case (errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrUnusable)) && (lost || use == unused):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("%w: nobody can look what lies there: if it does not come back, guppy store rm %s --lost "+
			"forgets it all the same", err, row.Name)
	}

	name, err := known.FirstBlob(ctx, files)
	if use == copiedTo {
		name, err = firstCopy(ctx, repo, files, row)
	}
	switch {
	case err != nil || name == "":
		return "", err
	case use == unused:
		return name, nil
	case use == replicaOf:
		return "", fmt.Errorf("store %q: %w: it is a replica, and %s is there: move its files away, and run this command "+
			"again", row.Name, sqlrepo.ErrStoreInUse, name)
	}
	return "", fmt.Errorf("store %q: %w: %s is there: guppy gc --strays --yes removes what belongs to no upload", row.Name,
		sqlrepo.ErrStoreInUse, name)
}

// storeUse says what a repository has to do with the files of a store.
type storeUse int

const (
	// unused is a store that is another repository's, or empty.
	unused storeUse = iota
	// copiedTo is a store that was a replica. Other files there may be another repository's.
	copiedTo
	// replicaOf is a replica of another store.
	replicaOf
	// storedIn is a store to which uploads went.
	storedIn
)

// useOf returns what the repository has used a store for that no upload has.
func useOf(ctx context.Context, repo *repository, row sqlrepo.Store) (storeUse, error) {
	replicas, err := repo.ReplicasOf(ctx, "")
	switch {
	case err != nil:
		return unused, err
	case slices.Contains(replicas, row.Identity):
		return replicaOf, nil
	case !row.SeenAt.IsZero():
		return storedIn, nil
	}

	for _, err := range repo.Copies(ctx, row.Identity) {
		return copiedTo, err
	}
	return unused, nil
}

// firstCopy returns the name of a file that was copied to a store and is there, "" if there is none.
func firstCopy(ctx context.Context, repo *repository, files store.Store, row sqlrepo.Store) (string, error) {
	copied := map[sqlrepo.Digest]bool{}
	for digest, err := range repo.Copies(ctx, row.Identity) {
		if err != nil {
			return "", err
		}
		copied[digest] = true
	}

	for file, err := range files.Committed(ctx) {
		if err != nil {
			return "", err
		}
		if digest, ok := trash.ParseName(file.Name); ok && copied[digest] {
			return file.Name, nil
		}
	}
	return "", nil
}
