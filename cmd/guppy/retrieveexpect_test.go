package main

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestContentOfNoUploadIsAsLargeAsItsDAG expects what the links of a directory claim, and at least its files.
func TestContentOfNoUploadIsAsLargeAsItsDAG(t *testing.T) {
	t.Parallel()
	s := treetest.New()
	for _, test := range []struct {
		root        tree.Link
		files       int64
		least, most int64
	}{
		{s.Directory("", s.File("a", "aaaa", "bb"), s.Directory("d", s.Raw("c", "cccc"))), 0, 10, 500},
		{s.Raw("", "four"), 1, 4, 4},
		{s.Directory(""), 0, 0, 0},
	} {
		found, err := tree.Resolve(t.Context(), s, tree.Path{Root: test.root.CID})
		noError(t, err)
		r := retrieve.Retriever{Progress: progress.NewTask("", "")}
		noError(t, expectFiles(t.Context(), nil, r, content{}, found))

		state := r.Progress.State()
		if state.ItemsTotal != test.files || state.BytesTotal < test.least || state.BytesTotal > test.most {
			t.Errorf("%+v: expected %+v", test, state)
		}
	}
}

// TestEachSelected passes over what is below a directory that is left out, as the walk through the tree does.
func TestEachSelected(t *testing.T) {
	t.Parallel()
	selected, err := selection.New([]string{"*.jpg"}, []string{"/out"})
	noError(t, err)

	var entries iter.Seq2[sqlrepo.Listed, error] = func(yield func(sqlrepo.Listed, error) bool) {
		for _, path := range []string{"base/", "base/a/", "base/a/x.jpg", "base/a/y.txt", "base/out/", "base/out/z.jpg",
			"base/out2.jpg"} {
			listed := sqlrepo.Listed{Path: sqlrepo.Path(strings.ReplaceAll(strings.TrimSuffix(path, "/"), "/", "\x00"))}
			listed.Kind = sqlrepo.File
			if strings.HasSuffix(path, "/") {
				listed.Kind = sqlrepo.Directory
			}
			if !yield(listed, nil) {
				return
			}
		}
	}

	var got []string
	noError(t, eachSelected(entries, "base", selected, func(entry sqlrepo.Listed) {
		got = append(got, entry.Path.String())
	}))
	if want := []string{"base", "base/a", "base/a/x.jpg", "base/out2.jpg"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
