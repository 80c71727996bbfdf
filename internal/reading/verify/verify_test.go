package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
	"github.com/guppy-prep/guppy/internal/reading/verify"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// problems verifies a tree and returns the problems as "what path", sorted.
func problems(t *testing.T, from verify.Blocks, root tree.Link, deep bool) (found []string, sum verify.Summary) {
	t.Helper()
	task := progress.NewTask("", "")
	v := verify.Verifier{Blocks: from, Deep: deep, Workers: 3, Progress: task, Found: func(p verify.Problem) error {
		found = append(found, p.What+" "+p.Path)
		return nil
	}}

	sum, err := v.Run(t.Context(), root.CID, "root")
	if err != nil {
		t.Fatal(err)
	}

	if sum.Problems != int64(len(found)) {
		t.Errorf("%d problems of %d", len(found), sum.Problems)
	}

	if state := task.State(); state.Items != sum.Blocks && sum.Problems == 0 || state.Bytes != state.BytesTotal {
		t.Errorf("progress of %+v: %+v", sum, state)
	}

	slices.Sort(found)
	return found, sum
}

func sample(s *treetest.Store) tree.Link {
	shared := s.File("shared", "shared", "parts")
	return s.Directory("", s.Directory("d", shared, s.Raw("f", "in d")), s.Raw("small", "x"), shared, s.Symlink("l", "/"))
}

func TestGoodTrees(t *testing.T) {
	s := treetest.New()
	root := sample(s)
	for _, deep := range []bool{false, true} {
		clear(s.Fetched)
		found, sum := problems(t, s, root, deep)
		if len(found) > 0 || sum.Blocks != int64(len(s.All())) || sum.Nodes != 4 {
			t.Errorf("%q, %+v of %d", found, sum, len(s.All()))
		}

		for _, c := range s.All() {
			want := 1
			if c.Type() == cid.Raw && !deep {
				want = 0
			}

			if s.Fetched[c] != want {
				t.Errorf("%s was read %d times", c, s.Fetched[c])
			}
		}
	}
}

func TestMissingBlocks(t *testing.T) {
	for _, deep := range []bool{false, true} {
		s := treetest.New()
		root := sample(s)
		s.Remove(s.Raw("", "x").CID)
		s.Remove(s.Raw("", "parts").CID)

		found, _ := problems(t, s, root, deep)
		if want := []string{"missing root/d/shared", "missing root/small"}; !slices.Equal(found, want) {
			t.Errorf("%q", found)
		}

		s.Remove(root.CID)
		if found, _ = problems(t, s, root, deep); !slices.Equal(found, []string{"missing root"}) {
			t.Errorf("%q", found)
		}
	}
}

// damaged are blocks, some of which can't be read.
type damaged struct {
	*treetest.Store
	errs map[cid.Cid]error
}

func (d damaged) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	for i, c := range cids {
		err := d.errs[c]
		if err == nil {
			err = d.Store.Fetch(ctx, cids[i:i+1], func(_ int, data []byte) error { return use(i, data) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestBadBlocksAreAllTold(t *testing.T) {
	s := treetest.New()
	var entries []tree.Link
	errs := map[cid.Cid]error{}
	var want []string
	for i := range 2000 {
		leaf := s.Raw(fmt.Sprintf("%04d", i), fmt.Sprint(i))
		entries = append(entries, leaf)
		switch i % 100 {
		case 7:
			errs[leaf.CID] = &blocks.BlockError{CID: leaf.CID, Shard: 3, Offset: 9, Cause: errors.New("no answer")}
			want = append(want, "unread root/"+leaf.Name)
		case 8, 99:
			errs[leaf.CID] = fmt.Errorf("%w", blocks.ErrNotFound)
			want = append(want, "missing root/"+leaf.Name)
		}
	}

	found, sum := problems(t, damaged{s, errs}, s.Directory("", entries...), true)
	slices.Sort(want)
	if !slices.Equal(found, want) || sum.Blocks != 2001-60 {
		t.Errorf("%d of %d problems, %+v", len(found), len(want), sum)
	}
}

func TestWrongLengths(t *testing.T) {
	n := treetest.Number
	file := func(s *treetest.Store, sizes []uint64, links ...tree.Link) tree.Link {
		size := uint64(0)
		for _, part := range sizes {
			size += part
		}
		data := treetest.UnixFS{Type: treetest.TypeFile, FileSize: n(size), Sizes: sizes}
		return tree.Link{Name: "f", CID: s.Node(data, links...)}
	}
	sized := func(l tree.Link, size uint64) tree.Link { l.Size = size; return l }

	for name, root := range map[string]func(s *treetest.Store) tree.Link{
		"leaf": func(s *treetest.Store) tree.Link { return s.Directory("", sized(s.Raw("f", "abc"), 4)) },
		"part": func(s *treetest.Store) tree.Link {
			f := file(s, []uint64{4}, s.Raw("", "abc"))
			return sized(f, 0)
		},
		"part of a part": func(s *treetest.Store) tree.Link {
			return file(s, []uint64{4}, s.File("", "abc"))
		},
		"directory": func(s *treetest.Store) tree.Link { return s.Directory("", sized(s.Directory("f"), 1)) },
		"a directory for a part": func(s *treetest.Store) tree.Link {
			return file(s, []uint64{4}, s.Directory(""))
		},
		"two claims": func(s *treetest.Store) tree.Link {
			return s.Directory("", s.Raw("a", "abc"), sized(s.Raw("f", "abc"), 5))
		},
	} {
		for _, deep := range []bool{false, true} {
			s := treetest.New()
			found, _ := problems(t, s, root(s), deep)
			if len(found) != 1 || !strings.HasPrefix(found[0], "malformed root") {
				t.Errorf("%s: %q", name, found)
			}
		}
	}
}

func TestHostileDAGs(t *testing.T) {
	s := treetest.New()
	deep := s.Directory("d")
	for range tree.MaxDepth + 5 {
		deep = s.Directory("d", deep)
	}

	for name, root := range map[string]tree.Link{
		"links": chain(s, tree.MaxLinks+5),
		"twice": s.Directory("", s.Raw("x", "a"), s.Raw("x", "b")),
		"name":  s.Directory("", s.Raw("..", "x")),
		"deep":  deep,
		"codec": {CID: s.Put(cid.DagCBOR, []byte{0xa0})},
		"bytes": {CID: s.Put(cid.DagProtobuf, []byte{0xff})},
	} {
		if found, _ := problems(t, s, root, true); len(found) == 0 || !strings.HasPrefix(found[0], verify.Malformed) {
			t.Errorf("%s: %.100q", name, found)
		}
	}
}

// chain makes a file of one byte under many nodes.
func chain(s *treetest.Store, levels int) tree.Link {
	link := s.Raw("", "x")
	for range levels {
		data := treetest.UnixFS{Type: treetest.TypeFile, FileSize: treetest.Number(1), Sizes: []uint64{1}}
		link = tree.Link{CID: s.Node(data, link)}
	}
	return link
}

func TestErrorsOfTheRepositoryEndIt(t *testing.T) {
	s := treetest.New()
	root := sample(s)
	for _, c := range s.All() {
		v := verify.Verifier{Blocks: damaged{s, map[cid.Cid]error{c: sqlrepo.ErrUnavailable}}, Deep: true, Workers: 2}
		if _, err := v.Run(t.Context(), root.CID, "root"); !errors.Is(err, sqlrepo.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&verify.Verifier{Blocks: s}).Run(ended, root.CID, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
