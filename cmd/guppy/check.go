package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/identity"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// errUnsound marks a repository in which check found problems.
var errUnsound = errors.New("not sound")

// unsound is the error of a check that found problems.
type unsound struct {
	problems int64
	repaired bool
	// giveUp is the command that gives up what no store has, "" if that was it.
	giveUp string
	// repair is the command that carries out the repairs, "" if there is nothing that a repair would do.
	repair string
}

func (u *unsound) Error() string {
	return fmt.Sprintf("%s: %s", errUnsound, plural(u.problems, "problem"))
}

func (u *unsound) Unwrap() error { return errUnsound }

func (u *unsound) Hint() string {
	if u.repaired {
		hint := "guppy: these problems are left after the repair. Continue the uploads that are unfinished (guppy status " +
			"prints the commands), bring back the stores that are away (guppy store ls lists them), and repair again"
		if u.giveUp != "" {
			hint += ". If no store has what is missing, " + u.giveUp + " gives it up"
		}
		return hint
	}
	if u.repair == "" {
		return "guppy: nothing was changed, and a repair would change nothing: guppy store ls shows which stores are away"
	}
	return "guppy: nothing was changed; " + u.repair + " carries out the repairs"
}

const checkHelp = `Check proves that the repository is sound: that its rows agree with each other,
that the space of each upload holds every block that the upload needs, and that
the shards are in the store. With --read-data it also reads the shards and
compares every byte with its digest. With --replicas it does the same with the
files that replicas are known to have (guppy store sync), and finds what they
lack of complete uploads. Workers may continue meanwhile: unfinished work is not
a problem. What there is of it is shown at the end, as guppy status shows it.

Each problem is one line: its code, the rows or the file concerned, what is
wrong, and what a repair does about it. A note is odd and harmless. --repair
prints that plan. --repair --yes carries it out, but not while anybody else is
at work. Intact blocks are never deleted. A shard that is missing or damaged is
copied from any other store of the repository that has a good one. With
--replicas, replicas then get good files in the place of those that they have
lost or damaged. What no store has is forgotten as a copy.

What no store has is given up only with --give-up: first make sure that no store
is away. An upload that has lost content then becomes unfinished, and guppy
upload completes it, with the same root if the source is unchanged. An older
upload whose content can't be restored becomes incomplete and lists it. Uploads
share content, so --repair covers all of them, even if UPLOAD names one.

` + uploadHelp

// checkOptions holds the flags of the check command.
type checkOptions struct {
	// upload is the name of the upload to check, or "" for all.
	upload      string
	repair, yes bool
	giveUp      bool
	replicas    bool
	readAll     bool
	readSubset  string
	percent     float64
}

func (a *app) checkCommand() *cobra.Command {
	options := checkOptions{}
	command := &cobra.Command{
		Use: "check [UPLOAD]", Short: "Check that the repository and its store are sound, and repair them", Long: checkHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Wrong options are reported before the repository is opened.
			if err := options.parse(); err != nil {
				return err
			}
			if len(args) == 1 {
				options.upload = args[0]
			}

			mode := reading
			if options.repair {
				mode = existing
			}
			return a.openingCommand(mode, func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
				return a.check(ctx, cfg, repo, options)
			})(cmd, args)
		},
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&options.repair, "repair", false, "print what a repair would do, and do it with --yes")
	flags.BoolVar(&options.yes, "yes", false, "carry out the repair")
	flags.BoolVar(&options.giveUp, "give-up", false,
		"give up blocks that no store has: their files are packed again, or left out of older uploads")
	flags.BoolVar(&options.readAll, "read-data", false, "read all shards and compare every block with its digest")
	flags.StringVar(&options.readSubset, "read-data-subset", "", "read `N%` of the shards, chosen at random")
	flags.BoolVar(&options.replicas, "replicas", false, "check the copies in replicas, too, and repair them")
	a.addRowFlags(command)
	addShardFlags(flags)

	return command
}

func (o *checkOptions) parse() error {
	switch {
	case o.yes && !o.repair:
		return fmt.Errorf("%w: --yes needs --repair", errUsage)
	case o.giveUp && !o.repair:
		return fmt.Errorf("%w: --give-up needs --repair", errUsage)
	case o.readAll && o.readSubset != "":
		return fmt.Errorf("%w: use either --read-data or --read-data-subset", errUsage)
	case o.readAll:
		o.percent = 100
	case o.readSubset != "":
		number, isPercent := strings.CutSuffix(o.readSubset, "%")
		percent, err := strconv.ParseFloat(number, 64)

		if !isPercent || err != nil || math.IsNaN(percent) || percent <= 0 || percent > 100 {
			return fmt.Errorf("%w: --read-data-subset must be more than 0%% and at most 100%%, not %q", errUsage, o.readSubset)
		}

		o.percent = percent
	}

	return nil
}

// check checks the repository, after repairing it if the options ask for a repair.
func (a *app) check(ctx context.Context, cfg *config.Config, repo *repository, options checkOptions) (err error) {
	task := progress.NewTask("checking", "")
	defer a.showProgress(ctx, task.State)()

	checker, err := a.checker(ctx, cfg, repo, options)
	if err != nil {
		return err
	}
	checker.Progress = task

	remaker, err := newRemaker(ctx, cfg, repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remaker.Close()) }()
	// Shards whose bytes no store keeps are made again to be checked.
	checker.Remake = remaker.OpenShard

	out, err := newCheckOutput(a)
	if err != nil {
		return err
	}
	if err := out.beginRepairs(); err != nil {
		return err
	}
	if options.repair && options.yes {
		if err := a.repairRepository(ctx, repo, checker, options.giveUp, out); err != nil {
			return errors.Join(err, out.end(check.Summary{}, err))
		}
	}

	// After a repair, the check shows what is left.
	summary, err := checker.Run(ctx, out.problem)
	if err != nil {
		return errors.Join(fmt.Errorf("could not check: %w", err), out.end(summary, err))
	}
	if out.unfinished, err = findUnfinished(ctx, repo, checker.Upload, options.replicas); err != nil {
		return errors.Join(fmt.Errorf("could not check: %w", err), out.end(summary, err))
	}
	if err := out.end(summary, nil); err != nil || summary.Sound() {
		return err
	}

	left := &unsound{problems: summary.Problems, repaired: options.repair && options.yes}
	if out.repairable {
		left.repair = a.again("--repair", "--yes")
	}
	if !options.giveUp && out.lost {
		left.giveUp = a.again("--give-up")
	}
	return left
}

func (a *app) checker(ctx context.Context, cfg *config.Config, repo *repository,
	options checkOptions) (check.Checker, error) {
	checker := check.Checker{
		Repo: repo.Repository, ReadPercent: options.percent, Replicas: options.replicas,
		TempDir: cfg.Repo.DataDir, Log: a.log,
	}
	var err error
	if checker.Keys, err = identity.Keys(cfg.Repo.DataDir); err != nil {
		return checker, err
	}

	if options.upload != "" {
		upload, err := findUpload(ctx, repo, options.upload)
		if err != nil {
			return checker, err
		}

		// A repair looks at every upload, because uploads share content.
		if !options.repair {
			checker.Upload = &upload
		}
	}

	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return checker, err
	}

	// Uploads of an older guppy that name no store are looked for in the configured one.
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{})
	if err != nil {
		return checker, err
	}
	if !slices.ContainsFunc(uploads, func(u sqlrepo.Upload) bool { return u.Store == "" }) {
		stores.Unnamed = nil
	}

	needed, err := storesToCheck(ctx, repo, uploads, checker)
	if err != nil {
		return checker, err
	}
	if checker.Stores, err = a.findPlaces(ctx, stores, needed); err != nil {
		return checker, fmt.Errorf("could not check: %w", err)
	}
	return checker, nil
}

// findPlaces looks where the stores are, and warns of each that is away and not needed.
func (a *app) findPlaces(ctx context.Context, stores *known.Stores, needed map[string]bool) ([]check.Place, error) {
	places, err := check.FindPlaces(ctx, stores, needed)
	for _, place := range places {
		if place.Absent != nil && !needed[place.Store.Identity] {
			a.log.Warn("a store is away, and was not waited for: what is checked lies elsewhere",
				"store", place.Store.Name, "reason", place.Absent)
		}
	}
	return places, err
}

// storesToCheck returns the identities of the stores that have what is to be checked. A shard of another upload that
// holds blocks of an upload is in the same store. A repair looks for good copies in all others, too.
func storesToCheck(ctx context.Context, repo *repository, uploads []sqlrepo.Upload,
	checker check.Checker) (map[string]bool, error) {
	needed := map[string]bool{}
	for _, upload := range uploads {
		if checker.Upload == nil || *checker.Upload == upload.ID {
			needed[upload.Store] = true
		}
	}
	if !checker.Replicas {
		return needed, nil
	}

	replicas, err := repo.ReplicasOf(ctx, "")
	for _, identity := range replicas {
		needed[identity] = true
	}
	return needed, err
}

// repairRepository repairs the repository while all other workers are locked out.
func (a *app) repairRepository(ctx context.Context, repo *repository, checker check.Checker, giveUp bool,
	out *checkOutput) (err error) {
	if err := leftovers.ReleaseAll(ctx, repo.Repository, a.log); err != nil {
		return err
	}

	// Processes of this host that are gone must not keep the lock from us.
	ctx, lock, err := check.Lock(ctx, repo.Repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()

	link := func(ctx context.Context, space sqlrepo.Space, upload int64, files store.Store) error {
		job := pipeline.Job{Repo: checker.Repo, Store: files, Space: space, TempDir: checker.TempDir, Log: checker.Log}
		return job.Link(ctx, upload)
	}
	repairer := check.Repairer{Checker: checker, Link: link, GiveUp: giveUp, Did: out.repaired}
	if err := repairer.Run(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}
