package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
)

const storeCopyHelp = `Copy copies the shards and indexes of the store FROM to the store TO. Each is a
name, a directory or a URL as for --store. The bytes of each file are compared
with the digest in its name before the file appears in TO. A file that TO
already has with the same length is skipped; with --verify it is read and
compared as well. Nothing in TO is ever replaced. At the end TO gets the
identity of FROM and can take its place: guppy store set NAME TO records that
it has.

Workers may continue meanwhile: run the command again for what they have stored
since. It may be interrupted at any moment, and copies the rest when it is run
again. A TO that has another identity, or no identity but other files, is
refused. The store none: has nothing to copy.`

func (a *app) storeCopyCommand() *cobra.Command {
	verify := false
	command := &cobra.Command{
		Use: "copy FROM TO", Short: "Copy the shards and indexes of a store to another one", Long: storeCopyHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if found, err := a.hasRepository(cfg); err != nil || !found {
				return errors.Join(err, a.copyStore(ctx, cfg, nil, args[0], args[1], verify))
			}
			return a.withRepository(ctx, cfg, existing, func(repo *repository) error {
				stores, err := a.stores(ctx, cfg, repo)
				if err != nil {
					return err
				}
				return a.copyStore(ctx, cfg, stores, args[0], args[1], verify)
			})
		},
	}

	expandArgs(command, config.ExpandStore, 0, 1)

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&verify, "verify", false, "read files that are in TO already, too, and compare them")
	flags.String("workers", "", "copy `N` files at a time (default: the number of CPUs)")

	return command
}

// storeCopyView is what a copy of a store has done.
type storeCopyView struct {
	From    string        `json:"from"`               // name or place of the store that was read
	To      string        `json:"to"`                 // name or place of the store that was written
	Copied  int64         `json:"copied_file_count"`  // number of files that were copied
	Skipped int64         `json:"skipped_file_count"` // number of files that were there already
	Ignored int64         `json:"ignored_file_count"` // number of files that are neither shards nor indexes
	Bytes   int64         `json:"bytes"`              // what was read for that
	Failed  []fileFailure `json:"failures"`           // files that could not be copied
	finished

	// replica is true if the target keeps its own identity.
	replica bool
	// known is the name that the repository has for the store, or "".
	known string
}

func (v *storeCopyView) count(done *mirror.Counts) {
	v.Copied, v.Skipped, v.Ignored = done.Copied.Load(), done.Skipped.Load(), done.Ignored.Load()
	v.Bytes = done.Bytes.Load()
}

// fileFailure is a file of a store that could not be copied.
type fileFailure struct {
	File   string `json:"file_name"` // name of the file
	Reason string `json:"reason"`    // why
}

// copyStore copies a store. stores is nil if there is no repository. It prints what it copied even after an error.
func (a *app) copyStore(ctx context.Context, cfg *config.Config, stores *known.Stores, from, to string,
	verify bool) error {
	options := a.storeOptions(cfg, false)
	target, err := store.ParseURL(to)
	if err != nil {
		return fmt.Errorf("TO: %w", err)
	}

	// A source that does not exist must not be created.
	source, err := a.storeArgument(ctx, cfg, stores, from)
	if err != nil {
		return fmt.Errorf("FROM: %w", err)
	}

	if _, none := source.(*store.None); none || target == (store.Place{}) {
		return fmt.Errorf("%w: %w: a store %s keeps nothing that could be copied", errUsage, mirror.ErrNoStore,
			store.NoneURL)
	}

	if stores != nil {
		if err := refuseKnownTarget(ctx, stores, from, to); err != nil {
			return err
		}
	}
	destination, err := store.OpenURL(ctx, to, options)
	if err != nil {
		return fmt.Errorf("TO: %w", err)
	}

	view := &storeCopyView{From: from, To: to, Failed: []fileFailure{}}
	copier := mirror.Copier{
		From: source, To: destination, Verify: verify, Workers: workers(cfg), Counts: &mirror.Counts{},
		Progress: progress.NewTask("copying", "file"),
		Failed:   func(name string, err error) { view.Failed = append(view.Failed, fileFailure{name, err.Error()}) },
	}

	stop := a.showProgress(ctx, copier.Progress.State)
	err = copier.Run(ctx)
	stop()

	view.count(copier.Counts)
	view.Finished = err == nil
	next := ""
	if stores != nil && view.Finished {
		view.known, next = nameIn(ctx, stores, source), toRun+"store check "+shellQuoted(to)
	}

	return errors.Join(a.printWithNext(view, view.text, next), err)
}

// nameIn returns the name that the repository has for a store, or "" if it has none or can't be asked.
func nameIn(ctx context.Context, stores *known.Stores, files store.Store) string {
	marker, err := files.Marker(ctx)
	if err != nil {
		return ""
	}
	row, err := stores.Row(ctx, marker)
	if err != nil {
		return ""
	}
	return row.Name
}

// refuseKnownTarget returns an error for a target that is a store of its own, or the place of one that is not there.
func refuseKnownTarget(ctx context.Context, stores *known.Stores, from, to string) error {
	rows, err := stores.Repo.Stores(ctx)
	if err != nil {
		return err
	}
	if _, err := storeRows(rows).named(to); err == nil {
		// What uploads go to has all that a replica lacks, and gets back what it has lost itself.
		advice := "guppy check --repair --yes copies what it has lost"
		if row, err := storeRows(rows).named(from); err == nil && !row.SeenAt.IsZero() {
			advice = fmt.Sprintf("guppy store sync %s %s sends what it lacks", from, to)
		}
		return fmt.Errorf("%w: TO is the name of a store: %s; for a directory of that name, begin with ./", errUsage, advice)
	}

	url, err := store.AbsoluteURL(to)
	if err != nil {
		return err
	}
	options := stores.Options
	options.Existing = true
	files, err := store.OpenURL(ctx, to, options)
	if err == nil {
		var marker string
		if marker, err = files.Marker(ctx); marker != "" || err != nil {
			return err
		}
	}
	return known.RefuseUnmounted(rows, url)
}

func (v *storeCopyView) text(w io.Writer) {
	for _, failed := range v.Failed {
		fmt.Fprintf(w, "not copied: %s: %s\n", printable(failed.File), oneLine(failed.Reason))
	}
	if v.replica {
		fmt.Fprintf(w, "copied %s, %s; %d already there\n", plural(v.Copied, "file"), progress.Bytes(v.Bytes), v.Skipped)
		if v.Finished {
			fmt.Fprintf(w, "store %s has everything of store %s\n", v.To, v.From)
		}
		return
	}

	fmt.Fprintf(w, "copied %s, %s; %d already there, %d neither shards nor indexes\n", plural(v.Copied, "file"),
		progress.Bytes(v.Bytes), v.Skipped, v.Ignored)
	if v.Finished {
		fmt.Fprintln(w, "the copy is complete and has the same identity")
	}
	if v.known != "" {
		fmt.Fprintf(w, "if it takes the place of the other, run: "+toRun+"store set %s %s\n", v.known, shellQuoted(v.To))
	}
}
