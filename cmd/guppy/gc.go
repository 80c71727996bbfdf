package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

const gcHelp = `Gc finishes the removals that guppy upload rm has begun: it deletes the entries
of removed uploads, and the shards that no remaining upload of their space
needs. It also removes temporary files of interrupted workers, the parts that
they have sent to an S3 server, and what killed restores, backups and migrations
have left in the data directory and beside the database. Without --yes it only
prints what it would do. Copies of the database that migrations have set aside
are listed, and removed with --migration-copies.

Workers may continue meanwhile. Gc may be interrupted at any moment, and
continues when it is run again.

Gc also counts files of a store that have the name of a shard but belong to no
shard of this repository, files that only uploads in other stores need, and
damaged files that guppy check --repair has set aside. --strays removes them. A
file that another store needs is removed only once a good copy was read there;
otherwise it stays, and gc says why. No other repository may use the same store,
not even a copy of this one (guppy transfer, guppy restore): its shards may
count as such files, and gc removes shards that it still needs.`

// gcOptions holds the flags of gc that are not settings.
type gcOptions struct{ yes, dryRun, strays, vacuum, copies bool }

func (a *app) gcCommand() *cobra.Command {
	options := gcOptions{}
	command := &cobra.Command{
		Use: "gc", Short: "Delete what removed uploads left behind and no other upload needs", Long: gcHelp,
		Args: usageArgs(cobra.NoArgs),
	}

	command.RunE = a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
		return a.collect(ctx, cfg, repo, options)
	})

	flags := command.Flags()
	flags.SortFlags = false
	addRemovalFlags(command, &options.yes)
	flags.BoolVar(&options.dryRun, "dry-run", false, "only print what would be done, which is the default")
	flags.BoolVar(&options.strays, "strays", false,
		"remove files of a store that belong to no shard there, and damaged files that were set aside")
	flags.BoolVar(&options.copies, "migration-copies", false,
		"remove the copies of the database that migrations have set aside")
	flags.BoolVar(&options.vacuum, "vacuum", false,
		"shrink the database file: takes as long as copying it, and nobody may be at work")

	return command
}

func addRemovalFlags(command *cobra.Command, yes *bool) {
	command.Flags().BoolVar(yes, "yes", false, "carry it out; without --yes, only print what would be done")
	addStorePathFlags(command.Flags())
}

// removing calls fn while nobody can change the schema. The context of fn ends when this is no longer certain.
func removing(ctx context.Context, repo *repository, fn func(context.Context) error) (err error) {
	lock, err := repo.LockUse(ctx)
	if err != nil {
		return err
	}
	ctx = lock.Watch(ctx)
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()
	return inTheWay(fn(ctx))
}

// inTheWay adds a hint to the error of a removal that others block by their work, or that can't find a store.
func inTheWay(err error) error {
	switch {
	case errors.Is(err, sqlrepo.ErrAtWork):
		return &removalRefused{err}
	case errors.As(err, new(*straysUnseen)):
		return err // it says what to do
	case errors.Is(err, store.ErrAbsent):
		return &storeUnseen{err}
	}
	return err
}

// storeUnseen is the error of a removal that can't find a store.
type storeUnseen struct{ error }

func (s *storeUnseen) Unwrap() error { return s.error }

// Hint names the next command.
func (s *storeUnseen) Hint() string {
	return "guppy: everything that needs no other store was removed; guppy gc --yes removes the rest once the store is " +
		"there"
}

type removalRefused struct{ error }

func (r *removalRefused) Unwrap() error { return r.error }

// Hint names the next command.
func (r *removalRefused) Hint() string {
	return "guppy: guppy status shows who is at work; once they have finished, or were silent for the time of a lease, " +
		"guppy gc --yes continues removals that have begun, and the same command removes what was refused"
}

func (a *app) collector(cfg *config.Config, repo *repository, stores *known.Stores) *gc.Collector {
	sites, away := &locator{app: a, cfg: cfg, repo: repo, stores: stores}, map[string]bool{}
	return &gc.Collector{
		Repo: repo.Repository, TempDir: cfg.Repo.DataDir, Lease: cfg.Worker.Lease, Log: a.log,
		Progress: progress.NewTask("removing", ""),
		Locate: func(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
			// An older guppy made this upload and did not record its store.
			if upload.Store == "" {
				return stores.Open(ctx, "")
			}
			return sites.store(ctx, upload)
		},
		Replicas: func(ctx context.Context, upload sqlrepo.Upload) ([]index.Replica, error) {
			return a.replicasOf(ctx, repo, stores, upload.Store, away)
		},
		Others: &trash.Others{Open: stores.Open},
	}
}

// replicasOf opens the replicas of a store that are there. It tries none again that was away.
func (a *app) replicasOf(ctx context.Context, repo *repository, stores *known.Stores, origin string,
	away map[string]bool) (open []index.Replica, err error) {
	replicas, err := repo.ReplicasOf(ctx, origin)
	if err != nil {
		return nil, err
	}

	for _, identity := range replicas {
		if away[identity] {
			continue
		}
		files, err := stores.Open(ctx, identity)
		if errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrUnusable) {
			a.log.Warn("not removed from a replica that is away: guppy gc --strays --yes removes it later", "reason", err)
			away[identity] = true
			continue
		}
		if err != nil {
			return nil, err
		}
		open = append(open, index.Replica{Identity: identity, Files: files})
	}
	return open, nil
}

// gcView is the output of gc.
type gcView struct {
	DryRun    bool          `json:"dry_run"`                        // whether nothing was changed
	Removals  []removalView `json:"removals"`                       // what is deleted of removed uploads, by space
	Temporary *int64        `json:"temporary_file_count,omitempty"` // temporary files, unless gc failed before it looked
	*strayCounts
	Vacuumed bool `json:"vacuumed"` // whether the database file was shrunk
	keptFiles
	Leftovers []leftoverView `json:"leftovers"` // copies of the database, and what killed processes have left

	straysRemoved bool
	// all is the command that lists all removals, or "".
	all string
}

// strayCounts counts the files of stores that no upload there needs.
type strayCounts struct {
	StrayFiles     int64 `json:"stray_file_count"`     // files that no row names
	StrayBytes     int64 `json:"stray_bytes"`          // their length
	DamagedFiles   int64 `json:"damaged_file_count"`   // files that were set aside as damaged
	DamagedBytes   int64 `json:"damaged_bytes"`        // their length
	ElsewhereFiles int64 `json:"elsewhere_file_count"` // files that only other stores need
	ElsewhereBytes int64 `json:"elsewhere_bytes"`      // their length
}

// collect removes what is left of removed uploads, or finds it in a dry run. It prints what it did even after an
// error.
func (a *app) collect(ctx context.Context, cfg *config.Config, repo *repository, options gcOptions) error {
	view := &gcView{DryRun: !options.yes, Removals: []removalView{}, Leftovers: []leftoverView{},
		straysRemoved: options.yes && options.strays}
	if view.DryRun {
		view.all = a.again("--json")
	}

	err := removing(ctx, repo, func(ctx context.Context) (err error) {
		if view.Leftovers, err = a.ownLeftovers(cfg, repo, options); err != nil {
			a.log.Warn("not all that killed processes have left was looked at", "reason", err)
		}

		// Processes of this host that are gone must not block the removal by their leases.
		if !view.DryRun {
			if err := leftovers.ReleaseAll(ctx, repo.Repository, a.log); err != nil {
				return err
			}
		}

		stores, err := a.stores(ctx, cfg, repo)
		if err != nil {
			return err
		}
		collector := a.collector(cfg, repo, stores)
		defer a.showProgress(ctx, collector.Progress.State)()
		defer func() { view.keptFiles = newKeptFiles(collector.Others) }()

		// A store that is away keeps nothing from being done elsewhere.
		failed := a.collectSpaces(ctx, collector, repo, view)
		if failed != nil && !errors.Is(failed, store.ErrAbsent) {
			return failed
		}
		err = a.sweep(ctx, repo, collector, stores, view)
		failed = errors.Join(failed, err)
		if view.DryRun || err != nil && !errors.Is(err, store.ErrAbsent) {
			return failed
		}
		return errors.Join(failed, repo.PruneCopies(ctx), repo.ForgetReceipts(ctx))
	})

	if err == nil && options.yes && options.vacuum {
		view.Vacuumed, err = a.vacuum(ctx, repo)
	}
	if err = errors.Join(a.print(view, view.text), err); err != nil || !view.empty() {
		return err
	}
	return a.sayAside("found nothing to delete")
}

// vacuum gives unused space of the database back. Nobody can say how far that is, but how much there is to copy.
func (a *app) vacuum(ctx context.Context, repo *repository) (bool, error) {
	doing := "shrinking the database"
	if size, err := repo.db.Size(ctx); err == nil && size > 0 {
		doing += ", which holds " + progress.Bytes(size)
	}
	defer a.showProgress(ctx, progress.NewTask(doing, "").State)()
	return repo.Vacuum(ctx)
}

func (a *app) collectSpaces(ctx context.Context, collector *gc.Collector, repo *repository, view *gcView) error {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return err
	}

	var failed error
	for _, space := range spaces {
		removed, err := removal.New(repo.Repository).RemovedUploads(ctx, space.ID)
		if err != nil {
			return err
		}
		if len(removed) == 0 {
			// A repair, or an upload that was prepared again, may have left something behind.
			if !view.DryRun {
				failed = errors.Join(failed, collector.Keep(ctx, space.ID))
			}
			continue
		}

		var sum gc.Summary
		if view.DryRun {
			sum, err = collector.Plan(ctx, space.ID, removed)
		} else {
			sum, err = collector.Collect(ctx, space.ID)
		}

		// A failure in one space does not keep the others from being collected.
		failed = errors.Join(failed, err)
		view.Removals = append(view.Removals, newRemovalView(space, sum))
	}

	return failed
}

// sweep looks for files that no row names, in the stores of this repository. What is to be removed in a store that
// is not there is left to the next run. Only for a store that is the only one it waits.
func (a *app) sweep(ctx context.Context, repo *repository, collector *gc.Collector, stores *known.Stores,
	view *gcView) error {
	rows, err := stores.Repo.Stores(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		view.Temporary = new(int64)
	}

	replicas, err := repo.ReplicasOf(ctx, "")
	if err != nil {
		return err
	}

	rows = slices.DeleteFunc(rows, func(row sqlrepo.Store) bool { return row.Identity == store.NoneIdentity })
	look := ctx
	if len(rows) > 1 {
		look = store.WithoutPatience(ctx)
	}

	var failed error
	for _, row := range rows {
		files, err := stores.Open(look, row.Identity)
		if errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrUnusable) && len(rows) > 1 {
			a.log.Warn("not looked for temporary files and strays", "store", row.Name, "reason", err)
			failed = errors.Join(failed, view.unswept(ctx, repo, row, err))
			continue
		}
		if err == nil {
			err = view.sweep(ctx, collector, files, !row.SeenAt.IsZero() || slices.Contains(replicas, row.Identity))
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// unswept returns an error for a store that is away if its strays were to be removed.
func (v *gcView) unswept(ctx context.Context, repo *repository, row sqlrepo.Store, reason error) error {
	if !v.straysRemoved {
		return nil
	}
	use, err := useOf(ctx, repo, row)
	if err != nil || use == unused {
		return err
	}
	return &straysUnseen{fmt.Errorf("%w: the strays in store %q were not removed: %w", store.ErrAbsent, row.Name, reason)}
}

// straysUnseen is the error of a removal of strays in a store that is away.
type straysUnseen struct{ error }

func (s *straysUnseen) Unwrap() error { return s.error }

// Hint names the next command.
func (s *straysUnseen) Hint() string {
	return "guppy: everything that needs no other store was removed; guppy gc --strays --yes removes the rest once the " +
		"store is there"
}

// sweep looks for files that no row names in one store. In a store that no upload of this repository has used, every
// file would count as a stray, and may be another repository's. What was copied there as to a replica is not.
func (v *gcView) sweep(ctx context.Context, collector *gc.Collector, files store.Store, used bool) error {
	temporary, err := collector.Temporary(ctx, files, !v.DryRun)
	if v.Temporary == nil {
		v.Temporary = new(int64)
	}
	*v.Temporary += temporary
	if err != nil {
		return err
	}

	look := collector.StrayCopies
	if used {
		look = collector.Strays
	}
	strays, err := look(ctx, files, v.straysRemoved)
	if !used && strays == (gc.Strays{}) {
		return err
	}
	if v.strayCounts == nil {
		v.strayCounts = &strayCounts{}
	}
	v.add(strays)
	return err
}

// add adds the files of another store.
func (c *strayCounts) add(more gc.Strays) {
	c.StrayFiles, c.StrayBytes = c.StrayFiles+more.Unnamed.Files, c.StrayBytes+more.Unnamed.Bytes
	c.DamagedFiles, c.DamagedBytes = c.DamagedFiles+more.Damaged.Files, c.DamagedBytes+more.Damaged.Bytes
	c.ElsewhereFiles, c.ElsewhereBytes = c.ElsewhereFiles+more.Elsewhere.Files, c.ElsewhereBytes+more.Elsewhere.Bytes
}

// deleted returns the removals without those of which nothing is left but what others need.
func (v *gcView) deleted() []removalView {
	return slices.DeleteFunc(slices.Clone(v.Removals), removalView.empty)
}

// empty reports whether there was nothing to delete.
func (v *gcView) empty() bool {
	found := len(v.deleted()) + len(v.Kept) + len(v.Leftovers)
	none := v.strayCounts == nil || v.StrayFiles+v.DamagedFiles+v.ElsewhereFiles == 0
	return found == 0 && none && (v.Temporary == nil || *v.Temporary == 0) && !v.Vacuumed
}

func (v *gcView) text(w io.Writer) {
	removalsText(w, v.deleted(), v.DryRun, v.all)

	verb := "removed"
	if v.DryRun {
		verb = "found"
	}

	if v.Temporary != nil && *v.Temporary > 0 {
		fmt.Fprintf(w, "%s %s of interrupted workers\n", verb, plural(*v.Temporary, "temporary file"))
	}

	if v.strayCounts != nil {
		v.strayText(w)
	}
	v.keptText(w)
	for _, left := range v.Leftovers {
		left.text(w, v.DryRun)
	}

	if v.Vacuumed {
		fmt.Fprintln(w, "the database file has returned its unused space")
	}

	if v.DryRun && !v.empty() {
		fmt.Fprintln(w, "nothing was changed: use --yes to carry this out")
	}
}

func (v *gcView) strayText(w io.Writer) {
	for _, found := range []struct {
		files, bytes int64
		what, unless string
	}{
		{v.StrayFiles, v.StrayBytes, "no row of this repository names", ", if no other repository uses this store"},
		{v.ElsewhereFiles, v.ElsewhereBytes, "only uploads in other stores need", " here once good copies were read there"},
		{v.DamagedFiles, v.DamagedBytes, "a repair has set aside as damaged", ""},
	} {
		bytes := progress.Bytes(found.bytes)
		switch {
		case found.files == 0:
		case v.straysRemoved:
			fmt.Fprintf(w, "removed %s, %s, that %s\n", plural(found.files, "file"), bytes, found.what)
		default:
			fmt.Fprintf(w, "%s of the store, %s, that %s: "+toRun+"gc --strays --yes removes such files%s\n",
				plural(found.files, "file"), bytes, found.what, found.unless)
		}
	}
}
