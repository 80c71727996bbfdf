package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// mostCompleted limits how many paths, and how many roots, a shell is offered.
const mostCompleted = 100

// listPaths lists what is in a directory of an upload and begins like a text, such as 3/photos/2024. Directories end
// with a slash. If the time is up, it lists what it has found.
func listPaths(text string) nameLister {
	return func(ctx context.Context, repo *repository) (names []string, err error) {
		slash := strings.LastIndexByte(text, '/')
		if slash < 0 {
			return nil, nil
		}
		name, err := nameUpload(ctx, repo, text[:slash])
		if err != nil || name.alone {
			return nil, nil // it is not the name of an upload yet
		}
		found, err := name.findContent(ctx, repo)
		if err != nil || found.upload == nil {
			return nil, nil
		}
		directory, err := sqlrepo.ParsePath(strings.Join(found.Names, "/"))
		if err != nil {
			return nil, nil
		}

		filter := sqlrepo.EntryFilter{States: sqlrepo.LinkableStates, Below: directory}
		var last sqlrepo.Path
		for again := true; again; {
			again = false
			for entry, err := range repo.Entries(ctx, found.upload.ID, filter) {
				if err != nil || len(names) == mostCompleted {
					return names, nil
				}
				if entry.Path == "" || entry.Path == directory {
					continue
				}
				if entry.Path.Parent() != directory {
					// It is in the directory before, and so may be millions of others.
					filter.Behind, again = last, true
					break
				}
				last = entry.Path

				name := text[:slash+1] + entry.Path.Name()
				if entry.Kind == sqlrepo.Directory {
					name += "/"
				}
				if strings.HasPrefix(name, text) && allPrintable(name) {
					names = append(names, name)
				}
			}
		}
		return names, nil
	}
}

// listRootCIDs lists the roots of complete uploads, the latest first.
func listRootCIDs(ctx context.Context, repo *repository) (names []string, err error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}
		for i := len(uploads) - 1; i >= 0 && len(names) < mostCompleted; i-- {
			upload := uploads[i]
			if root := upload.RootCID.String(); upload.State == sqlrepo.Complete && !seen[root] {
				seen[root] = true
				names = append(names, cobra.CompletionWithDesc(root, uploadAbout(space, upload)))
			}
		}
	}
	return names, nil
}
