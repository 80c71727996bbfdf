package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
)

const storeCheckHelp = `Check examines stores by themselves: STORE, a name, a directory or a URL, or
else all stores of the repository. It lists each store once and reports files
that the repository knows and that are missing or have another length, files
that no row names, and unfinished files. With --read-data it also reads all
files and compares each with the digest in its name. Without a repository, as
for a copy on another host, only names and digests are compared.

Guppy check is for the repository: it proves that rows agree with each other and
that the blocks of each upload are held, and asks the store for each shard of an
upload. Guppy store check is for a store, whatever its uploads are like: it
needs one request for a thousand files instead of one for each, and repairs
nothing.

Each problem is one line: its code, the file, what is wrong, and what can be
done about it. A note is odd and harmless.`

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

			named := ""
			if len(args) == 1 {
				named = args[0]
			}

			ctx := cmd.Context()
			// Without a repository the files can only be compared with their own names.
			if found, err := a.hasRepository(cfg); err != nil || !found {
				return errors.Join(err, a.checkUnknownStore(ctx, cfg, named, readData))
			}

			return a.withRepository(ctx, cfg, reading, func(repo *repository) error {
				stores, err := a.storesToCheck(ctx, cfg, repo, named)
				if err != nil {
					return fmt.Errorf("could not check: %w", err)
				}
				if len(stores) == 0 {
					return a.nothingKept()
				}
				return a.checkStores(ctx, cfg, repo, stores, readData)
			})
		},
	}

	expandArgs(command, config.ExpandStore, 0)

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&readData, "read-data", false, "read all files and compare each with the digest in its name")
	addStorePathFlag(flags)
	flags.String("workers", "", "read `N` files at a time (default: the number of CPUs)")
	a.addRowFlags(command)

	return command
}

// storeToCheck is a store, and its name if there are several.
type storeToCheck struct {
	store.Store
	name string
}

// storesToCheck opens the named store, or all stores of the repository that keep bytes.
func (a *app) storesToCheck(ctx context.Context, cfg *config.Config, repo *repository,
	named string) (open []storeToCheck, err error) {
	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	if named != "" {
		files, err := a.storeArgument(ctx, cfg, stores, named)
		return []storeToCheck{{Store: files}}, err
	}

	rows, err := repo.Stores(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.Identity == store.NoneIdentity {
			continue
		}
		files, err := stores.Open(ctx, row.Identity)
		if err != nil {
			return nil, err
		}
		open = append(open, storeToCheck{files, row.Name})
	}
	if len(open) == 1 {
		open[0].name = ""
	}
	return open, nil
}

// storeArgument opens the store that an argument names: by its name, or else by a path or URL. It creates nothing.
func (a *app) storeArgument(ctx context.Context, cfg *config.Config, stores *known.Stores,
	text string) (store.Store, error) {
	var rows storeRows
	if stores != nil {
		var err error
		if rows, err = stores.Repo.Stores(ctx); err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Name == text {
				files, _, err := stores.Find(ctx, row.Identity)
				return files, err
			}
		}
	}

	files, err := store.OpenURL(ctx, text, a.storeOptions(cfg, true))
	if err != nil {
		// A name that is not known is taken for a path.
		err = fmt.Errorf("%w%s", err, config.DidYouMean("", text, namesOf(rows, storeName)))
	}
	return files, err
}

// nothingKept prints that there is no store to check.
func (a *app) nothingKept() error {
	out, err := newCheckOutput(a)
	if err != nil {
		return err
	}
	if a.json {
		return out.endStore(check.StoreSummary{}, true, nil)
	}
	if out.silent() {
		return nil
	}
	_, err = fmt.Fprintf(a.stdout, "all uploads are in %s, which keeps nothing that could be checked\n",
		store.NoneURL)
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

// checkUnknownStore checks a store, or else the configured one, without a repository.
func (a *app) checkUnknownStore(ctx context.Context, cfg *config.Config, named string, readData bool) error {
	files, err := a.storeArgument(ctx, cfg, nil, cmp.Or(named, cfg.Prepare.Store))
	if err != nil {
		return fmt.Errorf("could not check: %w", err)
	}
	return a.checkStores(ctx, cfg, nil, []storeToCheck{{Store: files}}, readData)
}

// checkStores checks some stores. repo is nil if there is no repository.
func (a *app) checkStores(ctx context.Context, cfg *config.Config, repo *repository, stores []storeToCheck,
	readData bool) error {
	task := progress.NewTask("checking stores", "")
	defer a.showProgress(ctx, task.State)()

	out, err := newCheckOutput(a)
	if err != nil {
		return err
	}

	var sum check.StoreSummary
	for _, files := range stores {
		if _, none := files.Store.(*store.None); none {
			return fmt.Errorf("%w: a store %s keeps nothing that could be checked", errUsage, store.NoneURL)
		}

		checker := check.StoreChecker{
			Store: files.Store, Name: files.name, ReadData: readData, Workers: workers(cfg), Progress: task,
		}
		if repo != nil {
			checker.Repo = repo.Repository
		}

		found, err := checker.Run(ctx, out.problem)
		sum.Add(found)
		if err != nil {
			return errors.Join(fmt.Errorf("could not check: %w", err), out.endStore(sum, repo != nil, err))
		}
	}

	if err := out.endStore(sum, repo != nil, nil); err != nil || sum.Problems == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", errUnsound, plural(sum.Problems, "problem"))
}

// endStore is like end but prints the summary of a check of a store.
func (o *checkOutput) endStore(sum check.StoreSummary, known bool, failed error) error {
	if err := o.problems.end(); err != nil {
		return err
	}
	if o.app.json {
		return o.endJSON(struct {
			checkEnd
			Summary check.StoreSummary `json:"summary"`
		}{newCheckEnd(sum.Problems == 0, failed), sum})
	}
	if failed != nil || o.silent() {
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
