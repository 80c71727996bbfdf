package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const storeCheckHelp = `Check examines one store by itself: STORE, or the configured store. It lists the
store once and reports files that the repository knows and that are missing or
have another length, files that no row names, and unfinished files. With
--read-data it also reads all files and compares each with the digest in its
name. Without a repository, as for a copy on another host, only names and
digests are compared.

Guppy check is for the repository: it proves that rows agree with each other and
that the blocks of each upload are held, and asks the store for each shard of an
upload. Guppy store check is for a store, whatever its uploads are like: it
needs one request for a thousand files instead of one for each, and repairs
nothing.

Each problem is one line: its code, the file, what is wrong, and what can be
done about it. A note is odd and harmless. With --json it prints one object:
problems, complete, sound, and summary, with problems, notes, blobs and bytes of
the store, expected (what the repository knows) and read.`

func (a *app) storeCheckCommand() *cobra.Command {
	readData := false
	command := &cobra.Command{
		Use: "check [STORE]", Short: "Check that a store has the files that it should have", Long: storeCheckHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}

			named := len(args) == 1 || cmd.Flags().Changed("store")
			if len(args) == 1 {
				cfg.Prepare.Store = args[0]
			}

			ctx := cmd.Context()
			// Without a repository the files can only be compared with their own names.
			if found, err := a.hasRepository(cfg); err != nil || !found {
				return errors.Join(err, a.checkStore(ctx, cfg, nil, readData))
			}

			return a.withRepository(ctx, cfg, existing, func(repo *repository) error {
				keeps, err := keepsBytes(ctx, repo)
				if err != nil {
					return err
				}

				if !keeps && !named {
					return a.nothingKept()
				}

				return a.checkStore(ctx, cfg, repo, readData)
			})
		},
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&readData, "read-data", false, "read all files and compare each with the digest in its name")
	flags.String("store", "", storeUsage)
	flags.String("workers", "", "read `N` files at a time (default: the number of CPUs)")

	return command
}

// keepsBytes reports whether an upload may be in a store that keeps bytes. It is false only if all uploads are in
// a store that keeps nothing.
func keepsBytes(ctx context.Context, repo *repository) (bool, error) {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{})
	keeps := func(u sqlrepo.Upload) bool { return u.Store != store.NoneIdentity }
	return len(uploads) == 0 || slices.ContainsFunc(uploads, keeps), err
}

// nothingKept prints that there is no store to check.
func (a *app) nothingKept() error {
	out := newCheckOutput(a)
	if a.json {
		return out.endStore(check.StoreSummary{}, true, nil)
	}
	_, err := fmt.Fprintf(a.stdout, "all uploads are in %s, which keeps nothing that could be checked\n",
		store.NoneLocation)
	return err
}

// hasRepository reports whether there may be a repository. It is false only if the database is a file that does
// not exist.
func (a *app) hasRepository(cfg *config.Config) (bool, error) {
	if err := requireDataDir(cfg); err != nil {
		return false, err
	}

	files, err := dialect.Files(a.databaseSettings(cfg))
	if err != nil || len(files) == 0 {
		return err == nil, err
	}

	_, err = os.Stat(files[0])
	return !errors.Is(err, fs.ErrNotExist), nil
}

// checkStore checks the configured store. repo is nil if there is no repository.
func (a *app) checkStore(ctx context.Context, cfg *config.Config, repo *repository, readData bool) error {
	files, err := a.findStore(ctx, cfg)
	if err != nil {
		return fmt.Errorf("could not check: %w", err)
	}

	if _, none := files.(*store.None); none {
		return fmt.Errorf("%w: a store %s keeps nothing that could be checked", errUsage, store.NoneLocation)
	}

	checker := check.StoreChecker{Store: files, ReadData: readData, Workers: workers(cfg)}
	if repo != nil {
		checker.Repo = repo.Repository
	}

	out := newCheckOutput(a)
	sum, err := checker.Run(ctx, out.problem)
	if err != nil {
		return errors.Join(fmt.Errorf("could not check: %w", err), out.endStore(sum, repo != nil, err))
	}

	if err := out.endStore(sum, repo != nil, nil); err != nil || sum.Problems == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", errUnsound, plural(sum.Problems, "problem"))
}

// endStore is like end but prints the summary of a check of a store.
func (o *checkOutput) endStore(sum check.StoreSummary, known bool, failed error) error {
	if o.app.json {
		return o.endJSON(sum, sum.Problems == 0, failed)
	}
	if failed != nil {
		return nil
	}

	text := fmt.Sprintf("%s, %s: %s (%s)", plural(sum.Problems, "problem"), plural(sum.Notes, "note"),
		plural(sum.Blobs, "file"), progress.Bytes(sum.Bytes))

	if sum.Read > 0 {
		text += fmt.Sprintf(", %d of them read", sum.Read)
	}
	if known {
		text += fmt.Sprintf("; the repository knows %d", sum.Expected)
	} else {
		text += "; there is no repository to compare them with"
	}

	_, err := fmt.Fprintln(o.app.stdout, text)
	return err
}
