package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const storeSyncHelp = `Sync makes the store TO a replica of the store FROM: TO gets all shards and
indexes that uploads have in FROM. Both are names of stores (guppy store add).
Only what is missing is sent. The bytes of each file are compared with the
digest in its name before it appears in TO. A file that is there already is
read, and replaced if its bytes are wrong. What is known to be in TO is not
looked at again; with --verify it is.

A replica keeps its own identity. Shards that are missing or damaged in FROM are
read from it, and guppy check --repair copies them back. Guppy store ls shows
what a replica lacks. Files that are removed from FROM are removed from its
replicas, too, if those are there.

Sync may be interrupted at any moment, and sends the rest when it is run again.
Workers may continue meanwhile.

With --end, TO is no replica of FROM any longer. Its files stay; guppy gc
--strays --yes removes what nothing else needs.`

func (a *app) storeSyncCommand() *cobra.Command {
	verify, end, limit := false, false, ""
	command := &cobra.Command{
		Use: "sync FROM TO", Short: "Make a store a replica of another one, or bring it up to date", Long: storeSyncHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			most, err := parseRate(limit)
			if err != nil {
				return err
			}
			if end && (verify || limit != "") {
				return fmt.Errorf("%w: --end sends nothing: leave out --verify and --limit", errUsage)
			}
			if end {
				return a.endReplica(ctx, cfg, repo, args[0], args[1])
			}
			return a.syncStore(ctx, cfg, repo, args[0], args[1], verify, most)
		}),
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&verify, "verify", false, "read what is known to be in TO, too, and send again what is damaged")
	flags.StringVar(&limit, "limit", "", "read at most `BYTES` of FROM in a second, such as 20MiB")
	flags.String("workers", "", "copy `N` files at a time (default: the number of CPUs)")
	flags.BoolVar(&end, "end", false, "end this: TO is no replica of FROM any longer")
	addStorePathFlag(flags)

	return command
}

// endReplica ends what a sync began.
func (a *app) endReplica(ctx context.Context, cfg *config.Config, repo *repository, from, to string) error {
	_, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	origin, err := rows.named(from)
	if err != nil {
		return err
	}
	replica, err := rows.named(to)
	if err != nil {
		return err
	}

	err = repo.EndReplica(ctx, replica.Identity, origin.Identity)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		err = fmt.Errorf("store %q is no replica of store %q: %w: guppy store ls lists replicas", replica.Name, origin.Name,
			err)
	}
	if err != nil {
		return err
	}
	view := newKnownStore(replica)
	return a.print(view, view.text)
}

// parseRate returns the number of bytes a second that a limit allows, 0 for none.
func parseRate(limit string) (int, error) {
	if limit == "" {
		return 0, nil
	}
	most, ok := config.ParseSize(limit)
	if !ok || most < 1 || most > math.MaxInt32 {
		return 0, fmt.Errorf("%w: --limit must be a number of bytes from 1 to 2147483647, or a size such as 20MiB, not %q",
			errUsage, limit)
	}
	return int(most), nil
}

// syncStore brings a replica up to date. It prints what it copied even after an error.
func (a *app) syncStore(ctx context.Context, cfg *config.Config, repo *repository, from, to string, verify bool,
	limit int) error {
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	stores.Patience = nil // the replica is what it is all about
	origin, err := rows.named(from)
	if err != nil {
		return fmt.Errorf("FROM: %w: guppy store ls lists stores", err)
	}
	replica, err := rows.named(to)
	if err != nil {
		return fmt.Errorf("TO: %w: guppy store add %s URL makes it known", err, shellQuoted(to))
	}

	switch {
	case origin.Identity == replica.Identity:
		return fmt.Errorf("%w: FROM and TO are the same store", errUsage)
	case origin.Identity == store.NoneIdentity || replica.Identity == store.NoneIdentity:
		return fmt.Errorf("%w: a store %s keeps nothing that could be copied", errUsage, store.NoneURL)
	}

	if err := refuseEmptyOrigin(ctx, repo, origin); err != nil {
		return err
	}
	view := &storeCopyView{From: from, To: to, Failed: []fileFailure{}, replica: true}
	syncer := &mirror.Syncer{
		Repo: repo, Origin: origin.Identity, Replica: replica.Identity, Verify: verify, Workers: workers(cfg), Limit: limit,
		Failed:   func(name string, err error) { view.Failed = append(view.Failed, fileFailure{name, err.Error()}) },
		Counts:   &mirror.Counts{},
		Progress: progress.NewTask("sending", "file"), Others: &trash.Others{Open: stores.Open},
	}
	if syncer.From, err = stores.Open(ctx, origin.Identity); err != nil {
		return err
	}
	if syncer.To, err = stores.Open(ctx, replica.Identity); err != nil {
		return err
	}
	if err := refuseForeign(ctx, repo, syncer.To, replica); err != nil {
		return err
	}
	if err := repo.SetReplica(ctx, replica.Identity, origin.Identity); err != nil {
		return err
	}

	stop := a.showProgress(ctx, syncer.Progress.State)
	err = syncer.Run(ctx)
	stop()

	view.count(syncer.Counts)
	view.Finished = err == nil
	if errors.Is(err, delivery.ErrDiffers) {
		err = &badOrigin{err, origin.Name}
	}
	next := ""
	if view.Finished {
		next = toRun + "check --replicas"
	}
	return errors.Join(a.printWithNext(view, view.text, next), err)
}

// badOrigin is the error of a sync for which a store has lost or damaged files.
type badOrigin struct {
	error
	store string
}

func (b *badOrigin) Unwrap() error { return b.error }

// Hint names the next command.
func (b *badOrigin) Hint() string {
	return "guppy: guppy check --read-data --repair --yes mends store " + b.store + " if any other store has good " +
		"copies, and the next sync sends the rest"
}

// refuseEmptyOrigin returns an error for a store that no upload has: a replica of it would have nothing.
func refuseEmptyOrigin(ctx context.Context, repo *repository, origin sqlrepo.Store) error {
	uses, err := repo.StoreUses(ctx)
	if err != nil || slices.ContainsFunc(uses, func(u sqlrepo.StoreUse) bool { return u.Identity == origin.Identity }) {
		return err
	}
	return fmt.Errorf("%w: no upload is in store %q: FROM has to be the store that uploads go to (guppy store ls). To "+
		"fill a store that has lost its files, run guppy check --repair --yes", errUsage, origin.Name)
}

// refuseForeign returns an error for a store that this repository has not used and that has shards of another one: they
// would count as strays.
func refuseForeign(ctx context.Context, repo *repository, files store.Store, row sqlrepo.Store) error {
	replicas, err := repo.ReplicasOf(ctx, "")
	if err != nil || !row.SeenAt.IsZero() || slices.Contains(replicas, row.Identity) {
		return err
	}

	name, err := foreignBlob(ctx, repo, files, row.Identity)
	if err == nil && name != "" {
		err = fmt.Errorf("%w: store %q has shards of another repository, such as %s: name an empty place", errUsage,
			row.Name, name)
	}
	return err
}

// foreignBlob returns the name of a shard or an index in a store that no row of this repository names, "" if there is
// none.
func foreignBlob(ctx context.Context, repo *repository, files store.Store, identity string) (string, error) {
	for file, err := range files.Committed(ctx) {
		if err != nil {
			return "", err
		}
		digest, ok := trash.ParseName(file.Name)
		if !ok {
			continue
		}

		// What any store of this repository has may be here, too: it is not another repository's.
		named, err := repo.Named(ctx, identity, []sqlrepo.Digest{digest})
		if err != nil {
			return "", err
		}
		_, ours := named[digest]
		if !ours {
			// It may be left from a time when the store was a replica.
			ours, err = repo.HasCopy(ctx, identity, digest)
		}
		if err != nil || !ours {
			return file.Name, err
		}
	}
	return "", nil
}
