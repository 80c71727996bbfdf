package main

import (
	"context"
	"iter"
	"strings"

	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// baseOf returns the path of the entry that was found.
func baseOf(found tree.Resolved) sqlrepo.Path { return sqlrepo.Path(strings.Join(found.Names, "\x00")) }

// expectFiles tells the progress how much there is to retrieve. What belongs to no upload is as large as its DAG, which
// is a little more than the files in it. How much of that is selected, only the walk through the tree shows.
func expectFiles(ctx context.Context, repo *repository, r retrieve.Retriever, named content,
	found tree.Resolved) error {
	switch {
	case found.Node.Kind == tree.File:
		r.Progress.Expect(1, int64(found.Node.Size))
	case named.upload == nil && r.Select == nil:
		r.Progress.Expect(0, sizeBelow(found.Node))
	case named.upload == nil:
	case len(found.Names) == 0 && r.Select == nil:
		r.Progress.Expect(named.upload.Files, named.upload.Bytes)
	default:
		entries := repo.EntriesBelow(ctx, named.upload.ID, baseOf(found))
		return eachSelected(entries, baseOf(found), r.Select, func(entry sqlrepo.Listed) {
			if entry.Kind == sqlrepo.File {
				r.Progress.Expect(1, entry.Size)
			}
		})
	}
	return nil
}

// expectEntries is like expectFiles for a list of what would be retrieved. Of what belongs to no upload, the number of
// entries is not known.
func expectEntries(ctx context.Context, repo *repository, r retrieve.Retriever, named content,
	found tree.Resolved) error {
	switch {
	case named.upload == nil:
	case len(found.Names) == 0 && r.Select == nil:
		r.Progress.Expect(named.upload.Files+named.upload.Directories+named.upload.Symlinks, 0)
	default:
		entries := repo.EntriesBelow(ctx, named.upload.ID, baseOf(found))
		return eachSelected(entries, baseOf(found), r.Select, func(sqlrepo.Listed) { r.Progress.Expect(1, 0) })
	}
	return nil
}

// eachSelected calls use for each entry of a tree, in canonical order, that is selected or on the way to such entries.
// The tree begins at base.
func eachSelected(entries iter.Seq2[sqlrepo.Listed, error], base sqlrepo.Path, selected *selection.Selection,
	use func(sqlrepo.Listed)) error {
	skipped := "" // the directory that was skipped last
	for entry, err := range entries {
		if err != nil {
			return err
		}

		path := strings.TrimPrefix(strings.TrimPrefix(string(entry.Path), string(base)), "\x00")
		if skipped != "" && strings.HasPrefix(path, skipped+"\x00") {
			continue
		}
		isDir := entry.Kind == sqlrepo.Directory
		switch verdict := selected.Judge(sqlrepo.Path(path), isDir); {
		case verdict != selection.Skipped:
			use(entry)
		case isDir:
			skipped = path
		}
	}
	return nil
}

// sizeBelow returns the size of the blocks below a node, as the node claims.
func sizeBelow(node *tree.Node) (size int64) {
	links, err := node.Below()
	if err != nil {
		return 0 // the walk returns the error
	}
	for _, link := range links {
		size = min(size+int64(min(link.Size, tree.MostBytes)), tree.MostBytes)
	}
	return size
}
