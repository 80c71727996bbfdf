package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const findHelp = `Find lists the entries of complete uploads that match a PATTERN, the latest
upload first. A pattern means what it means in a .gitignore file: "*.jpg"
matches names in all directories, "/2024/*.jpg" paths from the top, and "**"
spans directories; only "!" is a letter like any other. A directory that matches
is listed without what is in it. The name of a match begins with the upload, so
guppy retrieve and guppy ls take it as it is. It reads rows only, no store.

With --in, only some uploads are searched.

` + uploadOrSpaceHelp

// findOptions holds the flags of find.
type findOptions struct {
	in, kinds  []string
	ignoreCase bool
}

func (a *app) findCommand() *cobra.Command {
	options := findOptions{}
	command := &cobra.Command{
		Use: "find PATTERN...", Short: "Find files and directories in all uploads, by patterns", Long: findHelp,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
		matching, err := options.matcher(args)
		if err != nil {
			return err
		}
		searched, err := uploadsIn(ctx, repo, options.in)
		if err != nil {
			return err
		}
		return a.find(ctx, repo, searched, matching)
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&options.in, "in", nil, "search `UPLOAD|SPACE` only; may be repeated")
	flags.StringSliceVar(&options.kinds, "kind", nil, "list `file|directory|symlink` only; may be repeated")
	flags.BoolVarP(&options.ignoreCase, "ignore-case", "i", false, "let small and capital letters match each other")
	a.addListFlags(command)
	return command
}

var entryKinds = map[string]sqlrepo.EntryKind{
	sqlrepo.File.String(): sqlrepo.File, sqlrepo.Directory.String(): sqlrepo.Directory,
	sqlrepo.Symlink.String(): sqlrepo.Symlink,
}

// matcher returns a function that reports whether an entry matches one of the patterns.
func (o *findOptions) matcher(patterns []string) (func(sqlrepo.Listed) bool, error) {
	for _, kind := range o.kinds {
		if _, ok := entryKinds[kind]; !ok {
			return nil, fmt.Errorf("%w: --kind %s: want file, directory or symlink", errUsage, kind)
		}
	}

	fold := func(text string) string { return text }
	if o.ignoreCase {
		fold = strings.ToLower
	}

	var compiled []*source.Excludes
	for _, pattern := range patterns {
		one, err := source.ParseExcludes([]string{source.Positive(fold(pattern))})
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, one)
	}

	return func(entry sqlrepo.Listed) bool {
		if len(o.kinds) > 0 && !slices.Contains(o.kinds, entry.Kind.String()) {
			return false
		}
		path := sqlrepo.Path(fold(string(entry.Path)))
		return path != "" && slices.ContainsFunc(compiled, func(one *source.Excludes) bool {
			return one.Matches(path, entry.Kind == sqlrepo.Directory)
		})
	}, nil
}

// searched is an upload, with the names that its rows lead to.
type searched struct {
	sqlrepo.Upload
	space  sqlrepo.Space
	source sqlrepo.Source
}

// uploadsIn returns the complete uploads that are named, by themselves or by their spaces, or all of them, the latest
// first.
func uploadsIn(ctx context.Context, repo *repository, names []string) ([]searched, error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	wantedSpaces, wantedUploads := map[int64]bool{}, map[int64]bool{}
	for _, text := range names {
		name, err := nameUpload(ctx, repo, text)
		if err != nil {
			return nil, err
		}
		if name.alone {
			wantedSpaces[name.space.ID] = true
			continue
		}
		key, err := name.upload(ctx, repo)
		if err != nil {
			return nil, err
		}
		if _, err := completeUpload(ctx, repo, key, "searched"); err != nil {
			return nil, err
		}
		wantedUploads[key] = true
	}

	var found []searched
	sources := map[int64]sqlrepo.Source{}
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}

		for _, upload := range uploads {
			wanted := len(names) == 0 || wantedSpaces[space.ID] || wantedUploads[upload.ID]
			if !wanted || upload.State != sqlrepo.Complete {
				continue
			}
			if _, known := sources[upload.Source]; !known {
				if sources[upload.Source], err = repo.Source(ctx, upload.Source); err != nil {
					return nil, err
				}
			}
			found = append(found, searched{upload, space, sources[upload.Source]})
		}
	}

	slices.SortFunc(found, func(a, b searched) int { return cmp.Compare(b.ID, a.ID) })
	return found, nil
}

// match is an entry that was found.
type match struct {
	Upload int64 `json:"upload"` // number of the upload that has it
	spaceRef
	Source     string  `json:"source"`      // name of the source of the upload
	FinishedAt instant `json:"finished_at"` // when the upload was completed
	pathRef
	entryContent
	ModifiedAt instant `json:"modified_at"` // when the entry was last changed in the source
	Name       string  `json:"upload_path"` // upload and path, as other commands take them
}

var matchList = list[match]{
	name: "matches", empty: "nothing matches in the uploads that were searched", columns: []column[match]{
		{"FINISHED (UTC)", func(v match) string { return v.FinishedAt.short() }, whole},
		{"SPACE", func(v match) string { return printable(v.Space) }, words},
		{"KIND", func(v match) string { return v.Kind }, whole},
		{"SIZE", func(v match) string { return v.size() }, number},
		{"MODIFIED (UTC)", func(v match) string { return v.ModifiedAt.short() }, whole},
		{"CID", func(v match) string { return v.CID }, identifier},
		{"NAME", func(v match) string { return printable(v.Name) }, words},
	},
}

func (v match) size() string {
	if v.Bytes == nil {
		return ""
	}
	return progress.Bytes(*v.Bytes)
}

func newMatch(in searched, entry sqlrepo.Listed) match {
	path := entry.Path.String()
	return match{
		Upload: in.ID, spaceRef: newSpaceRef(in.space), Source: in.source.Name, FinishedAt: formatTime(in.FinishedAt),
		pathRef: newPathRef(path), entryContent: *newEntryContent(&entry),
		ModifiedAt: formatTime(sqlrepo.NewTime(entry.Modified())), Name: fmt.Sprintf("%d/%s", in.ID, path),
	}
}

// rootsAtOnce is the number of matches whose roots are looked up together.
const rootsAtOnce = 500

// find prints the entries of uploads that match.
func (a *app) find(ctx context.Context, repo *repository, uploads []searched,
	matching func(sqlrepo.Listed) bool) error {
	task := progress.NewTask("searching", "entry")
	for _, upload := range uploads {
		task.Expect(upload.Files+upload.Directories+upload.Symlinks, 0)
	}
	stop := a.showProgress(ctx, task.State)
	defer stop()

	return matchList.stream(a, func(yield func(match) error) error {
		for _, upload := range uploads {
			var batch []sqlrepo.Listed
			flush := func() error {
				err := repo.AddRoots(ctx, batch)
				for i := 0; i < len(batch) && err == nil; i++ {
					err = yield(newMatch(upload, batch[i]))
				}
				batch = batch[:0]
				return err
			}

			for entry, err := range counted(repo.EntriesBelow(ctx, upload.ID, ""), task) {
				if err != nil {
					return errors.Join(flush(), err)
				}
				if matching(entry) {
					batch = append(batch, entry)
				}
				if len(batch) == rootsAtOnce {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			if err := flush(); err != nil {
				return err
			}
		}
		return nil
	})
}
