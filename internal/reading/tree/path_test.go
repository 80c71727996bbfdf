package tree_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

const exampleCID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

func TestPaths(t *testing.T) {
	for text, want := range map[string][]string{
		exampleCID:                                       nil,
		exampleCID + "/":                                 nil,
		"/ipfs/" + exampleCID:                            nil,
		"/ipfs/" + exampleCID + "/a/b":                   {"a", "b"},
		exampleCID + "/a//./b/":                          {"a", "b"},
		exampleCID + "/a%20b":                            {"a%20b"},
		"ipfs://" + exampleCID + "/a%20b/c%25":           {"a b", "c%"},
		"IPFS://" + exampleCID:                           nil,
		exampleCID + "/\xff?#":                           {"\xff?#"},
		"ipfs://" + exampleCID + "/%ff":                  {"\xff"},
		exampleCID + "/a/../b":                           {"a", "..", "b"},
		"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn": nil,
	} {
		path, err := tree.ParsePath(text)
		if err != nil || !slices.Equal(path.Names, want) {
			t.Errorf("%q: %q, %v", text, path.Names, err)
		}
	}

	for _, wrong := range []string{
		"", "/", "ipfs://", "/ipfs/", "/ipns/example.org", "ipns://" + exampleCID, "x", "a/b", "//" + exampleCID,
		"/" + exampleCID, "http://" + exampleCID, exampleCID + "/a\x00b", "ipfs://" + exampleCID + "/%00",
		"ipfs://" + exampleCID + "/a%2Fb", "ipfs://" + exampleCID + "/%zz", "ipfs://" + exampleCID + "/a?b",
		"ipfs://" + exampleCID + "/a#b", "/ipfs/ipfs/" + exampleCID,
	} {
		if path, err := tree.ParsePath(wrong); !errors.Is(err, tree.ErrBadPath) {
			t.Errorf("%q: %v, %v", wrong, path, err)
		}
	}
}

// maze makes a tree with all kinds of symlinks.
func maze(s *treetest.Store) tree.Link {
	var hops []tree.Link
	for i := range 60 {
		hops = append(hops, s.Symlink(fmt.Sprintf("hop%d", i), fmt.Sprintf("hop%d", i+1)))
	}
	hops = append(hops, s.Symlink("hop60", "a"))
	return s.Directory("", append(hops,
		s.Directory("a", s.Raw("file", "hello"), s.Directory("deep", s.Symlink("up", "../.."), s.Symlink("out", "../../.."))),
		s.Symlink("abs", "/a"), s.Symlink("back", "a/deep/up/a"), s.Symlink("dangling", "nowhere"), s.Symlink("empty", ""),
		s.Symlink("file", "a/file"), s.Symlink("link", "./a//deep/../."), s.Symlink("loop", "loop2"),
		s.Symlink("loop2", "a/../loop"), s.Symlink("long", strings.Repeat("a/../", 20_000)), s.Symlink("self", "self/x"),
	)...)
}

func TestResolve(t *testing.T) {
	s := treetest.New()
	root := maze(s).CID
	for path, want := range map[string]any{
		"":              "directory ",
		"a":             "directory a",
		"a/file":        "file a/file",
		"file":          "symlink file",
		"link":          "symlink link",
		"link/":         "symlink link",
		"link/file":     "file a/file",
		"back/file":     "file a/file",
		"a/deep/up":     "symlink a/deep/up",
		"a/deep/up/a":   "directory a",
		"a/../a/./file": "file a/file",
		"empty/a":       "directory a",
		"hop40/file":    "file a/file",
		"nowhere":       tree.ErrNoEntry,
		"a/file/x":      tree.ErrNoEntry,
		"file/x":        tree.ErrNoEntry,
		"dangling/x":    tree.ErrNoEntry,
		"abs/file":      tree.ErrOutside,
		"a/deep/out/x":  tree.ErrOutside,
		"..":            tree.ErrOutside,
		"a/../../a":     tree.ErrOutside,
		"loop/x":        tree.ErrLoop,
		"self/x":        tree.ErrLoop,
		"hop0/file":     tree.ErrLoop,
		"long/a":        tree.ErrMalformed,
		strings.Repeat("a/deep/../../", 500) + "a": "directory a",
	} {
		parsed := must(tree.ParsePath(root.String() + "/" + path))(t)
		got, err := tree.Resolve(t.Context(), s, parsed)

		if wanted, ok := want.(error); ok {
			if !errors.Is(err, wanted) {
				t.Errorf("%q: %v, want %v", path, err, wanted)
			}
			continue
		}

		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}

		if found := got.Node.Kind.String() + " " + strings.Join(got.Names, "/"); found != want {
			t.Errorf("%q is %q, want %q", path, found, want)
		}
	}
}

// FuzzResolve follows any path of the maze, and links that lead anywhere. It must end, and never leave the root.
func FuzzResolve(f *testing.F) {
	for _, path := range []string{
		"", "a/file", "link/../file", "hop3/deep/up/x", "loop/x", "wild/..", "wild/wild/a", "//./..",
	} {
		f.Add(path, "a/deep/up")
		f.Add(path, "../..")
		f.Add(path, "wild/a")
	}

	f.Fuzz(func(t *testing.T, path, target string) {
		s := treetest.New()
		inner := s.Directory("d", s.Symlink("wild", target), s.Raw("f", "x"))
		root := s.Directory("", inner, s.Symlink("wild", target), s.Symlink("x", "d/wild/"+path))

		parsed, err := tree.ParsePath(root.CID.String() + "/" + path)
		if err != nil {
			return
		}

		got, err := tree.Resolve(t.Context(), s, parsed)
		switch {
		case err == nil:
			if slices.Contains(got.Names, "..") || slices.Contains(got.Names, "") {
				t.Errorf("%q leads to %q", path, got.Names)
			}
		case errors.Is(err, blocks.ErrNotFound):
			t.Errorf("a block was looked for that nothing leads to: %v", err)
		}
	})
}
