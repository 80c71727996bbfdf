package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

const uploadRmHelp = `Rm removes uploads: their entries, and the shards that no remaining upload of
their space needs. It prints the number and the space of each upload, and what
it would delete, and deletes it after a confirmation on a terminal or with
--yes. Without a terminal and without --yes it deletes nothing, and its exit
code is 2. What later uploads of the source share with them, or did not store
because it was there, stays. Removing several uploads at once is faster than one
after the other, because the shards that others need are determined once.

` + uploadHelp + `

The uploads count as removed at once. If rm is interrupted, guppy gc deletes the
rest. An upload that somebody works on is refused; the others are removed.

A file that an upload in another store has too is removed here only once a good
copy was read there. If there is none, because that store is away or its copy is
damaged, the file stays, and rm says so: guppy gc --strays removes it later.

If a store can't be found, neither in its place nor with --store, what lies in
it stays, and everything else is removed. With --keep-files the uploads are
removed without their files: for a store that is lost, or whose files others
need. If that store comes back, its files belong to no shard, and guppy gc
--strays --yes removes them.

A repository and its copy (guppy transfer, guppy restore) must not have the same
store: rm removes shards that the other one still needs, because it does not
know the other one's uploads.`

// uploadRmOptions holds the flags of upload rm that are not settings.
type uploadRmOptions struct {
	yes, dryRun, keepFiles bool
	// resume returns the command line that removes uploads, and finish the one that finishes what was begun.
	resume func(keys []int64) string
	finish func() string
}

func (a *app) uploadRmCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "rm UPLOAD...", Short: "Remove uploads, and everything that no other upload needs", Long: uploadRmHelp,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	options := newUploadRmOptions(command)

	command.RunE = a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		keys, err := uploadKeys(ctx, repo, args)
		if err != nil {
			return err
		}

		// Once an upload is removed, its name is that of another one.
		a.resume.by(options.resume(keys))
		return removing(ctx, repo, func(ctx context.Context) error {
			chosen, err := findUploads(ctx, repo, keys)
			if err != nil {
				return err
			}
			return a.removeUploads(ctx, cfg, repo, chosen, options, nil)
		})
	})

	addUploadRemovalFlags(command, &options)
	command.Flags().BoolVar(&options.keepFiles, "keep-files", false,
		"leave the files in the store, for example if it is lost")

	return command
}

// addUploadRemovalFlags adds the flags that upload rm and upload prune share.
func addUploadRemovalFlags(command *cobra.Command, options *uploadRmOptions) {
	flags := command.Flags()
	flags.BoolVar(&options.yes, "yes", false, "carry it out without asking")
	flags.BoolVar(&options.dryRun, "dry-run", false, "only print what would be done")
	addStorePathFlags(flags)
}

func newUploadRmOptions(command *cobra.Command) (options uploadRmOptions) {
	options.resume = func(keys []int64) string { return commandWith(command, numbers(keys)...) }
	options.finish = func() string {
		// Who has agreed on the terminal is not asked again.
		if err := command.Flags().Set("yes", "true"); err != nil {
			panic(err) // it is a flag of the command
		}
		return siblingWith(command, "gc")
	}
	return options
}

// rest returns the command lines that go on after some of the uploads were removed. Numbers are not given again, so
// they name no other upload. Only rm itself can leave files where they are.
func (o uploadRmOptions) rest(keys, removed []int64) (lines []string) {
	if o.keepFiles {
		return []string{o.resume(keys)}
	}
	refused := slices.DeleteFunc(slices.Clone(keys), func(key int64) bool { return slices.Contains(removed, key) })
	if len(removed) > 0 || len(refused) == 0 {
		lines = append(lines, o.finish())
	}
	if len(refused) > 0 {
		lines = append(lines, o.resume(refused))
	}
	return lines
}

func numbers(keys []int64) (texts []string) {
	for _, key := range keys {
		texts = append(texts, strconv.FormatInt(key, 10))
	}
	return texts
}

// uploadKeys returns the numbers of the uploads that are named, sorted and without duplicates.
func uploadKeys(ctx context.Context, repo *repository, args []string) (keys []int64, err error) {
	for _, arg := range args {
		key, err := findUpload(ctx, repo, arg)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}

	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// removable is a group of uploads of one space.
type removable struct {
	space   sqlrepo.Space
	uploads []sqlrepo.Upload
	// decided, if not nil, is what the removal of each of the uploads was decided from.
	decided map[int64]removal.Decision
}

// keysOf returns the set of the keys of all uploads.
func keysOf(chosen []removable) map[int64]bool {
	set := map[int64]bool{}
	for _, group := range chosen {
		for _, upload := range group.uploads {
			set[upload.ID] = true
		}
	}
	return set
}

// findUploads returns the uploads grouped by space. It returns an error if one of them does not exist.
func findUploads(ctx context.Context, repo *repository, keys []int64) (found []removable, err error) {
	bySpace := map[int64]int{}

	for _, key := range keys {
		upload, err := repo.Upload(ctx, key)
		if err != nil {
			return nil, err
		}

		source, err := repo.Source(ctx, upload.Source)
		if err != nil {
			return nil, err
		}

		at, known := bySpace[source.Space]
		if !known {
			space, err := spaceOf(ctx, repo, source)
			if err != nil {
				return nil, err
			}
			at, bySpace[source.Space] = len(found), len(found)
			found = append(found, removable{space: space})
		}

		found[at].uploads = append(found[at].uploads, upload)
	}
	return found, nil
}

// removeUploads removes uploads, once that is confirmed. pruned, if not nil, is printed with what is removed.
func (a *app) removeUploads(ctx context.Context, cfg *config.Config, repo *repository, chosen []removable,
	options uploadRmOptions, pruned *prunedView) error {
	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return err
	}
	collector := a.collector(cfg, repo, stores)
	if options.keepFiles {
		collector.KeepFiles = keysOf(chosen)
	}

	if !options.yes {
		if agreed, err := a.askToRemove(ctx, collector, chosen, options, pruned); err != nil || !agreed {
			return err
		}
	}

	// Processes of this host that are gone must not block the removal by their leases.
	if err := leftovers.ReleaseAll(ctx, repo.Repository, a.log); err != nil {
		return err
	}

	stop := a.showProgress(ctx, collector.Progress.State)
	view, failed := newRemovedView(false, collector, pruned), error(nil)
	for _, group := range chosen {
		failed = errors.Join(failed, view.mark(ctx, collector, group))
	}

	// The uploads count as removed now. If their content can't be deleted, guppy gc goes on.
	a.resume.by(options.rest(slices.Sorted(maps.Keys(keysOf(chosen))), view.Removed)...)
	for _, group := range chosen {
		sum, err := collector.Collect(ctx, group.space.ID)
		if errors.Is(err, sqlrepo.ErrAtWork) {
			err = fmt.Errorf("space %s: not all shards of the removed uploads are deleted yet; guppy gc --yes continues: %w",
				group.space.Name, err)
		}

		failed = errors.Join(failed, err)
		view.Removals = append(view.Removals, newRemovalView(group.space, sum))
	}
	stop()
	view.keptFiles = newKeptFiles(collector.Others)
	return errors.Join(a.print(view, view.text), failed)
}

// askToRemove prints the plan of a removal and, unless it is a dry run, asks whether to go on. It returns errUnasked if
// there is no terminal to ask on.
func (a *app) askToRemove(ctx context.Context, collector *gc.Collector, chosen []removable, options uploadRmOptions,
	pruned *prunedView) (bool, error) {
	view := newRemovedView(true, collector, pruned)
	view.all = a.again("--dry-run", "--json")
	stop := a.showProgress(ctx, collector.Progress.State)
	defer stop()
	for _, group := range chosen {
		sum, err := collector.Plan(ctx, group.space.ID, group.uploads)
		if err != nil {
			return false, err
		}

		view.add(group.space, group.uploads...)
		view.Removals = append(view.Removals, newRemovalView(group.space, sum))
	}

	stop()
	// A program that reads JSON can't answer.
	ask := !options.dryRun && !a.json && term.IsTerminal(int(os.Stdin.Fd()))

	err := a.print(view, func(w io.Writer) {
		view.text(w)
		if !ask {
			fmt.Fprintln(w, "nothing was changed: use --yes to carry this out")
		}
	})

	switch {
	case err != nil || options.dryRun:
		return false, err
	case !ask:
		return false, errUnasked
	}
	return true, a.confirm(ctx, false, "Remove "+view.names()+"?")
}

// removedView is the output of upload rm.
type removedView struct {
	DryRun   bool          `json:"dry_run"`        // whether nothing was changed
	Removed  []int64       `json:"upload_numbers"` // uploads that are removed, or would be
	Removals []removalView `json:"removals"`       // what is deleted, by space; with what earlier removals have left
	keptFiles
	// prunedView is set for upload prune.
	*prunedView

	uploads   []uploadInSpace
	keepFiles bool
	// all is the command that lists all of what would be removed, or "".
	all string
}

// uploadInSpace is an upload with the name of its space, since an upload may be named without its number.
type uploadInSpace struct {
	sqlrepo.Upload
	space string
}

func (u uploadInSpace) name() string {
	return fmt.Sprintf("upload %d of space %s", u.ID, printable(u.space))
}

// content returns a suffix that says what the upload holds, if its row has that.
func (u uploadInSpace) content() string {
	if !u.RootCID.Defined() {
		return ""
	}
	return fmt.Sprintf(", %s, %s", plural(u.Files, "file"), progress.Bytes(u.Bytes))
}

func newRemovedView(dryRun bool, collector *gc.Collector, pruned *prunedView) *removedView {
	keepFiles := len(collector.KeepFiles) > 0
	return &removedView{
		DryRun: dryRun, Removed: []int64{}, Removals: []removalView{}, keptFiles: keptFiles{Kept: []keptView{}},
		prunedView: pruned, keepFiles: keepFiles,
	}
}

func (v *removedView) add(space sqlrepo.Space, uploads ...sqlrepo.Upload) {
	for _, upload := range uploads {
		v.Removed = append(v.Removed, upload.ID)
		v.uploads = append(v.uploads, uploadInSpace{upload, space.Name})
	}
}

// mark marks those uploads as removed that can be, and returns the errors of the others.
func (v *removedView) mark(ctx context.Context, collector *gc.Collector, group removable) (failed error) {
	for _, upload := range group.uploads {
		mark := collector.Mark
		if decision, decided := group.decided[upload.ID]; decided {
			mark = func(ctx context.Context, upload sqlrepo.Upload) error {
				return collector.MarkDecided(ctx, upload, decision)
			}
		}

		err := mark(ctx, upload)
		if err == nil {
			v.add(group.space, upload)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// names names the upload, or counts the uploads if there are several.
func (v *removedView) names() string {
	if len(v.uploads) == 1 {
		return v.uploads[0].name()
	}
	return fmt.Sprintf("these %d uploads", len(v.uploads))
}

func (v *removedView) text(w io.Writer) {
	if v.prunedView != nil && (v.DryRun || !v.shown) {
		v.prunedView.text(w)
	}

	for _, upload := range v.uploads[:min(len(v.uploads), listed)] {
		if v.DryRun {
			fmt.Fprintf(w, "%s, %s%s\n", upload.name(), upload.State, upload.content())
		} else {
			fmt.Fprintf(w, "%s was removed%s\n", upload.name(), already(upload.Upload))
		}
	}
	printMore(w, len(v.uploads), v.all)

	removalsText(w, v.Removals, v.DryRun, v.all)
	v.keptText(w)

	if v.keepFiles {
		fmt.Fprintln(w, "their files stay where they are")
	}
}

// already returns a suffix for an upload that had been removed before. The line of its space says what was left
// of it.
func already(upload sqlrepo.Upload) string {
	if upload.State == sqlrepo.Removed {
		return " already"
	}
	return ""
}

// removalView counts what a removal deletes, or would delete.
type removalView struct {
	spaceRef
	Uploads     int64 `json:"upload_count"`     // number of uploads that are deleted completely
	Entries     int64 `json:"entry_count"`      // number of entries that are deleted
	Shards      int64 `json:"shard_count"`      // number of shards that are deleted
	Nodes       int64 `json:"block_count"`      // number of blocks in these shards
	Files       int64 `json:"file_count"`       // number of files of the store that are deleted
	Bytes       int64 `json:"bytes"`            // size of these files
	KeptEntries int64 `json:"kept_entry_count"` // number of entries that others need
	KeptShards  int64 `json:"kept_shard_count"` // number of shards that others need
}

func newRemovalView(space sqlrepo.Space, s gc.Summary) removalView {
	return removalView{
		spaceRef: newSpaceRef(space), Uploads: s.Uploads, Entries: s.Entries, Shards: s.Shards, Nodes: s.Nodes,
		Files: s.Files, Bytes: s.Bytes, KeptEntries: s.KeptEntries, KeptShards: s.KeptShards,
	}
}

// removalsText prints a line for each space, and if there are too many a line for all, and how to list them unless that
// is "".
func removalsText(w io.Writer, spaces []removalView, planned bool, list string) {
	for _, space := range spaces[:min(len(spaces), listed)] {
		space.text(w, planned)
	}
	if len(spaces) <= listed {
		return
	}

	printMore(w, len(spaces), list)
	var all removalView
	for _, space := range spaces {
		all.add(space)
	}
	fmt.Fprintf(w, "all %d spaces: %s\n", len(spaces), all.describe(planned))
}

func (v *removalView) add(other removalView) {
	v.Uploads += other.Uploads
	v.Entries += other.Entries
	v.Shards += other.Shards
	v.Nodes += other.Nodes
	v.Files += other.Files
	v.Bytes += other.Bytes
	v.KeptEntries += other.KeptEntries
	v.KeptShards += other.KeptShards
}

func (v removalView) text(w io.Writer, planned bool) {
	fmt.Fprintf(w, "space %s: %s\n", printable(v.Space), v.describe(planned))
}

// empty reports whether nothing is deleted.
func (v removalView) empty() bool { return v.Uploads+v.Entries+v.Shards+v.Files == 0 }

func (v removalView) describe(planned bool) string {
	verb := "deleted"
	if planned {
		verb = "would delete"
	}

	text := fmt.Sprintf("%s %s, %s with %s, and %s of the store, %s", verb, plural(v.Entries, "entry"),
		plural(v.Shards, "shard"), plural(v.Nodes, "block"), plural(v.Files, "file"), progress.Bytes(v.Bytes))
	if v.empty() {
		text = "nothing to delete"
	}

	if v.KeptEntries+v.KeptShards > 0 {
		text += fmt.Sprintf("; other uploads need %s and %s, which stay", plural(v.KeptEntries, "entry"),
			plural(v.KeptShards, "shard"))
	}

	return text
}
