package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/sizes"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const statsHelp = `Stats shows what an upload holds: the sizes of its files by type and by
directory, its largest files, and how much of it earlier uploads had already.
Without UPLOAD it shows what all complete uploads hold, and what is stored of
them, also by removed uploads whose shards they need. It reads rows only, no
store.

` + uploadHelp

func (a *app) statsCommand() *cobra.Command {
	limits := sizes.Limits{}
	command := &cobra.Command{
		Use: "stats [UPLOAD]", Short: "Show sizes by type and directory, and what is stored once", Long: statsHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
		if limits.Depth < 1 || limits.Elements < 1 {
			return fmt.Errorf("%w: --depth and --top want numbers above 0", errUsage)
		}
		if len(args) > 0 {
			if err := a.refuseListFlags("spaces, without UPLOAD"); err != nil {
				return err
			}
		}
		if len(args) == 0 {
			return a.repositoryStats(ctx, repo)
		}
		key, err := findUpload(ctx, repo, args[0])
		if err != nil {
			return err
		}
		return a.uploadStats(ctx, repo, key, limits)
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.IntVar(&limits.Depth, "depth", 1, "tell directories apart by `N` names")
	flags.IntVar(&limits.Elements, "top", 10, "show the `N` largest of each")
	a.addListFlags(command)
	return command
}

// uploadStats is the output of stats for an upload.
type uploadStats struct {
	Upload int64 `json:"upload"` // number of the upload
	spaceRef
	contentCounts
	UnchangedFiles int64       `json:"unchanged_file_count"` // files whose content an earlier upload of the source had
	UnchangedBytes int64       `json:"unchanged_bytes"`      // length of these files
	Shards         int64       `json:"shard_count"`          // shards that this upload has stored
	StoredBytes    int64       `json:"stored_bytes"`         // size of these shards
	Types          []typeSize  `json:"types"`                // extensions of names, the largest first
	TopDirectories []dirSize   `json:"directories"`          // directories, the largest first
	Largest        []sizedPath `json:"largest_files"`        // the largest files

	MoreTypes       int64 `json:"more_type_count"`      // number of types that are not listed
	MoreDirectories int64 `json:"more_directory_count"` // number of directories that are not listed
	MoreFiles       int64 `json:"more_file_count"`      // number of files that are not listed
}

type typeSize struct {
	Type string `json:"type"` // extension with its dot, in small letters; "" for none, and "..." for very many others
	fileCount
}

type dirSize struct {
	pathRef
	fileCount
}

type sizedPath struct {
	pathRef
	Bytes int64 `json:"bytes"` // length of the file
}

func (a *app) uploadStats(ctx context.Context, repo *repository, key int64, limits sizes.Limits) error {
	upload, err := completeUpload(ctx, repo, key, "summed up")
	if err != nil {
		return err
	}
	source, err := repo.Source(ctx, upload.Source)
	if err != nil {
		return err
	}
	space, err := spaceOf(ctx, repo, source)
	if err != nil {
		return err
	}

	view := &uploadStats{
		Upload: key, spaceRef: newSpaceRef(space), Types: []typeSize{}, TopDirectories: []dirSize{}, Largest: []sizedPath{},
		contentCounts: *newContentCounts(upload.Counts),
	}
	if view.Shards, view.StoredBytes, err = storedBy(ctx, repo, key); err != nil {
		return err
	}
	if err := a.addSizes(ctx, repo, view, limits); err != nil {
		return err
	}
	return a.print(view, view.text)
}

func (a *app) addSizes(ctx context.Context, repo *repository, view *uploadStats, limits sizes.Limits) error {
	task := progress.NewTask("reading", "entry")
	task.Expect(view.Files+view.Directories+view.Symlinks, 0)
	stop := a.showProgress(ctx, task.State)
	defer stop()

	found, err := sizes.Of(counted(repo.EntriesBelow(ctx, view.Upload, ""), task), limits)
	if err != nil {
		return err
	}

	view.UnchangedFiles, view.UnchangedBytes = found.TakenFiles, found.TakenBytes
	for _, size := range found.Types {
		view.Types = append(view.Types, typeSize{size.Name, fileCount{size.Files, size.Bytes}})
	}
	for _, size := range found.Directories {
		view.TopDirectories = append(view.TopDirectories, dirSize{newPathRef(size.Name), fileCount{size.Files, size.Bytes}})
	}
	for _, file := range found.Largest {
		view.Largest = append(view.Largest, sizedPath{newPathRef(file.Path.String()), file.Bytes})
	}
	view.MoreTypes, view.MoreDirectories = int64(found.MoreTypes), int64(found.MoreDirectories)
	view.MoreFiles = found.Files - int64(len(found.Largest))
	return nil
}

// storedBy returns the number and size of the shards that an upload has stored.
func storedBy(ctx context.Context, repo *repository, upload int64) (shards, size int64, err error) {
	filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for shard, err := range repo.Shards(ctx, upload, filter) {
		if err != nil {
			return 0, 0, err
		}
		shards++
		size += shard.Size
	}
	return shards, size, nil
}

func (v *uploadStats) text(w io.Writer) {
	fmt.Fprintf(w, "content    %s, %s, %s, %s\n", plural(v.Files, "file"), plural(v.Directories, "directory"),
		plural(v.Symlinks, "symlink"), progress.Bytes(v.Bytes))
	fmt.Fprintf(w, "unchanged  %s, %s, which an earlier upload had\n", plural(v.UnchangedFiles, "file"),
		progress.Bytes(v.UnchangedBytes))
	fmt.Fprintf(w, "stored     %s in %s\n", progress.Bytes(v.StoredBytes), plural(v.Shards, "shard"))

	sizeTable(w, "TYPE", len(v.Types), v.MoreTypes, func(i int) (string, fileCount) {
		if v.Types[i].Type == "" {
			return "(none)", v.Types[i].fileCount
		}
		return printable(v.Types[i].Type), v.Types[i].fileCount
	})
	sizeTable(w, "DIRECTORY", len(v.TopDirectories), v.MoreDirectories, func(i int) (string, fileCount) {
		return printable(cmp.Or(v.TopDirectories[i].Path, ".") + "/"), v.TopDirectories[i].fileCount
	})

	if len(v.Largest) > 0 {
		fmt.Fprintln(w)
		writeTable(w, []display.Column{{Title: "SIZE", Right: true}, {Title: "LARGEST FILES"}}, len(v.Largest),
			func(i int) []string {
				return []string{progress.Bytes(v.Largest[i].Bytes), printable(v.Largest[i].Path)}
			})
		printBeyondTop(w, len(v.Largest), v.MoreFiles)
	}
}

// printBeyondTop says how many rows --top has left out.
func printBeyondTop(w io.Writer, shown int, left int64) {
	if left > 0 {
		fmt.Fprintf(w, "and %d more: --top %d lists all\n", left, int64(shown)+left)
	}
}

func sizeTable(w io.Writer, title string, n int, left int64, row func(i int) (string, fileCount)) {
	if n == 0 {
		return
	}
	fmt.Fprintln(w)
	columns := []display.Column{{Title: "SIZE", Right: true}, {Title: "FILES", Right: true}, {Title: title}}
	writeTable(w, columns, n, func(i int) []string {
		name, count := row(i)
		return []string{progress.Bytes(count.Bytes), fmt.Sprint(count.Files), name}
	})
	printBeyondTop(w, n, left)
}

// writeTable writes a table into memory, which does not fail.
func writeTable(w io.Writer, columns []display.Column, n int, row func(i int) []string) {
	table := newTable(w, columns, false)
	for i := range n {
		_ = table.Row(row(i))
	}
	_ = table.Flush()
}

// newTable returns a table of a result, which fits the sheet if w is one.
func newTable(w io.Writer, columns []display.Column, styled bool) *display.Table {
	table := display.NewTable(w, columns, styled)
	if on, ok := w.(*sheet); ok {
		table.Fit(on.width)
	}
	return table
}

// repositoryStats is the output of stats without an upload.
type repositoryStats struct {
	Uploads     int64        `json:"upload_count"` // complete uploads
	Bytes       int64        `json:"bytes"`        // length of their files
	Shards      int64        `json:"shard_count"`  // their shards, and those of removed uploads that are still there
	StoredBytes int64        `json:"stored_bytes"` // size of these shards
	Spaces      []spaceStats `json:"spaces"`       // the same by space
}

type spaceStats struct {
	spaceRef
	Uploads     int64 `json:"upload_count"` // complete uploads
	Bytes       int64 `json:"bytes"`        // length of their files
	Shards      int64 `json:"shard_count"`  // their shards, and those of removed uploads that are still there
	StoredBytes int64 `json:"stored_bytes"` // size of these shards
}

func (a *app) repositoryStats(ctx context.Context, repo *repository) error {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return err
	}

	task := progress.NewTask("reading", "upload")
	stop := a.showProgress(ctx, task.State)
	defer stop()

	view := &repositoryStats{Spaces: []spaceStats{}}
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return err
		}

		task.Expect(int64(len(uploads)), 0)
		of := spaceStats{spaceRef: newSpaceRef(space)}
		for _, upload := range uploads {
			if err := of.count(ctx, repo, upload); err != nil {
				return err
			}
			task.Add(1, 0)
		}
		view.add(of)
	}
	stop()
	if printed, err := spaceStatsList.within(a, &view.Spaces); err != nil || printed {
		return err
	}
	return a.print(view, view.text)
}

var spaceStatsList = list[spaceStats]{name: "spaces"}

// count adds an upload. The shards of a removed one are there because others need them.
func (s *spaceStats) count(ctx context.Context, repo *repository, upload sqlrepo.Upload) error {
	if upload.State != sqlrepo.Complete && upload.State != sqlrepo.Removed {
		return nil
	}
	shards, size, err := storedBy(ctx, repo, upload.ID)
	s.Shards, s.StoredBytes = s.Shards+shards, s.StoredBytes+size
	if upload.State == sqlrepo.Complete {
		s.Uploads, s.Bytes = s.Uploads+1, s.Bytes+upload.Bytes
	}
	return err
}

func (v *repositoryStats) add(of spaceStats) {
	v.Uploads, v.Bytes = v.Uploads+of.Uploads, v.Bytes+of.Bytes
	v.Shards, v.StoredBytes = v.Shards+of.Shards, v.StoredBytes+of.StoredBytes
	v.Spaces = append(v.Spaces, of)
}

func (v *repositoryStats) text(w io.Writer) {
	columns := []display.Column{
		{Title: "SPACE"}, {Title: "UPLOADS", Right: true}, {Title: "CONTENT", Right: true}, {Title: "SHARDS", Right: true},
		{Title: "STORED", Right: true}, {Title: "RATIO", Right: true},
	}
	all := spaceStats{Uploads: v.Uploads, Bytes: v.Bytes, Shards: v.Shards, StoredBytes: v.StoredBytes}
	all.Space = "(all)"
	rows := slices.Concat(v.Spaces, []spaceStats{all})
	writeTable(w, columns, len(rows), func(i int) []string {
		of := rows[i]
		return []string{
			printable(of.Space), fmt.Sprint(of.Uploads), progress.Bytes(of.Bytes), fmt.Sprint(of.Shards),
			progress.Bytes(of.StoredBytes), ratio(of.Bytes, of.StoredBytes),
		}
	})
}

// ratio says how many times the content is larger than what is stored of it.
func ratio(content, stored int64) string {
	if stored == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(content)/float64(stored))
}
