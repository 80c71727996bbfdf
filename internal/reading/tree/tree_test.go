package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/twmb/murmur3"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// hamt makes a large directory the way uploads do.
func hamt(t testing.TB, s *treetest.Store, n int) (root cid.Cid, names []string) {
	t.Helper()
	builder := unixfs.UnixFSv1_2025.NewDirectory(func(b unixfs.Block) error {
		s.Put(cid.DagProtobuf, b.Data)
		return nil
	})

	for i := range n {
		name := fmt.Sprintf("%05d-%s", i, strings.Repeat("x", i%50))
		leaf := s.Raw(name, name)
		names = append(names, name)
		if err := builder.Add(name, unixfs.Link{CID: leaf.CID, Tsize: leaf.Size}); err != nil {
			t.Fatal(err)
		}
	}

	return must(builder.Close())(t).CID, names
}

func TestDirectories(t *testing.T) {
	for _, n := range []int{0, 1, 100, 6000} {
		s := treetest.New()
		root, names := hamt(t, s, n)
		node := must(tree.Read(t.Context(), s, root))(t)
		children := must(node.Children(t.Context(), s))(t)

		var got []string
		for _, child := range children {
			got = append(got, child.Name)
			if child.Size != uint64(len(child.Name)) {
				t.Errorf("%s has the size %d", child.Name, child.Size)
			}
		}

		if !slices.Equal(got, names) {
			t.Errorf("%d of %d names", len(got), n)
		}

		for i := 0; i < n; i += 97 {
			child := must(node.Child(t.Context(), s, names[i]))(t)
			if child != children[i] {
				t.Errorf("%s leads to %v", names[i], child)
			}
		}

		for _, none := range []string{"", "00000", "x", "..", "00"} {
			if _, err := node.Child(t.Context(), s, none); !errors.Is(err, tree.ErrNoEntry) {
				t.Errorf("%q of %d: %v", none, n, err)
			}
		}
	}
}

// TestALookUpReadsWhatLeadsThere requires that a lookup does not read the whole of a large directory.
func TestALookUpReadsWhatLeadsThere(t *testing.T) {
	s := treetest.New()
	root, names := hamt(t, s, 6000)
	node := must(tree.Read(t.Context(), s, root))(t)
	clear(s.Fetched)
	must(node.Child(t.Context(), s, names[77]))(t)
	if len(s.Fetched) > 3 {
		t.Errorf("%d blocks were read", len(s.Fetched))
	}
}

// bigFile makes a file of several levels, with chunks of a few bytes.
func bigFile(s *treetest.Store, random *rand.Rand, levels, width int) (tree.Link, []byte) {
	if levels == 0 {
		content := make([]byte, 1+random.IntN(9))
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		return s.Raw("", string(content)), content
	}

	data := treetest.UnixFS{Type: treetest.TypeFile, FileSize: treetest.Number(0)}
	var links []tree.Link
	var all []byte

	if random.IntN(3) == 0 { // other builders keep content in nodes
		data.Data = []byte("inline")
		all = append(all, data.Data...)
	}

	for range 1 + random.IntN(width) {
		link, content := bigFile(s, random, levels-1, width)
		links, all = append(links, link), append(all, content...)
		data.Sizes = append(data.Sizes, uint64(len(content)))
	}

	*data.FileSize = uint64(len(all))
	return tree.Link{CID: s.Node(data, links...)}, all
}

func TestRangesOfFiles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, random := treetest.New(), rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		link, content := bigFile(s, random, rapid.IntRange(0, 4).Draw(rt, "levels"), 5)
		node := must(tree.Read(t.Context(), s, link.CID))(t)
		if node.Kind != tree.File || node.Size != uint64(len(content)) {
			rt.Fatalf("a %s of %d bytes, not %d", node.Kind, node.Size, len(content))
		}

		begin := rapid.IntRange(0, len(content)).Draw(rt, "begin")
		end := rapid.IntRange(begin, len(content)).Draw(rt, "end")

		var got bytes.Buffer
		if err := node.WriteRange(t.Context(), s, uint64(begin), uint64(end), &got); err != nil {
			rt.Fatal(err)
		}

		if !bytes.Equal(got.Bytes(), content[begin:end]) {
			rt.Fatalf("%d to %d: %x, want %x", begin, end, got.Bytes(), content[begin:end])
		}
	})
}

// TestARangeReadsItsBlocksAlone counts the blocks fetched of a file of two levels.
func TestARangeReadsItsBlocksAlone(t *testing.T) {
	s := treetest.New()
	var links []tree.Link
	var sizes []uint64
	for i := range 10 {
		var parts []string
		for j := range 10 {
			parts = append(parts, fmt.Sprintf("%d%d", i, j))
		}
		links, sizes = append(links, s.File("", parts...)), append(sizes, 20)
	}

	root := s.Node(treetest.UnixFS{Type: treetest.TypeFile, FileSize: treetest.Number(200), Sizes: sizes}, links...)
	node := must(tree.Read(t.Context(), s, root))(t)
	clear(s.Fetched)

	var got bytes.Buffer
	if err := node.WriteRange(t.Context(), s, 57, 61, &got); err != nil || got.String() != "8293" {
		t.Errorf("%q, %v", got.String(), err)
	}

	if len(s.Fetched) != 2+3 {
		t.Errorf("%d blocks were read", len(s.Fetched))
	}
}

func TestWalk(t *testing.T) {
	s := treetest.New()
	root := s.Directory("",
		s.Directory("a", s.Raw("b", "x"), s.Directory("empty")), s.Raw("a-", "y"), s.File("big", "1", "2"),
		s.Symlink("l", "a/b"))

	var got []string
	visit := func(mark string) func(tree.Entry) error {
		return func(e tree.Entry) error {
			got = append(got, fmt.Sprintf("%s%s %s %d %s", mark, e.Path(), e.Node.Kind, e.Node.Size, e.Node.Target))
			return nil
		}
	}

	node := must(tree.Read(t.Context(), s, root.CID))(t)
	if err := tree.Walk(t.Context(), s, node, visit(""), visit("/")); err != nil {
		t.Fatal(err)
	}

	want := []string{". directory 0 ", "a directory 0 ", "a/b file 1 ", "a/empty directory 0 ", "/a/empty directory 0 ",
		"/a directory 0 ", "a- file 1 ", "big file 2 ", "l symlink 0 a/b", "/. directory 0 "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// walkAll walks a tree and reads all files.
func walkAll(ctx context.Context, from tree.Blocks, root cid.Cid) error {
	node, err := tree.Read(ctx, from, root)
	if err != nil {
		return err
	}
	return tree.Walk(ctx, from, node, func(e tree.Entry) error {
		if e.Node.Kind != tree.File {
			return nil
		}
		return e.Node.WriteRange(ctx, from, 0, max(1, e.Node.Size), new(bytes.Buffer))
	}, nil)
}

// TestHostileDAGs requires that hostile DAGs are refused with a fitting error.
func TestHostileDAGs(t *testing.T) {
	n := treetest.Number
	murmur := n(0x22)
	type u = treetest.UnixFS
	file := func(s *treetest.Store, size uint64, sizes []uint64, links ...tree.Link) tree.Link {
		return tree.Link{CID: s.Node(u{Type: treetest.TypeFile, FileSize: n(size), Sizes: sizes}, links...)}
	}
	part := func(s *treetest.Store, fanout uint64, links ...tree.Link) tree.Link {
		return tree.Link{CID: s.Node(u{Type: treetest.TypeHAMT, HashType: murmur, Fanout: n(fanout)}, links...)}
	}
	block := func(s *treetest.Store, codec uint64, data string) tree.Link {
		return tree.Link{CID: s.Put(codec, []byte(data))}
	}
	node := func(s *treetest.Store, data u, links ...tree.Link) tree.Link {
		return tree.Link{CID: s.Node(data, links...)}
	}
	named := func(l tree.Link, name string) tree.Link { l.Name = name; return l }

	for name, make := range map[string]func(s *treetest.Store) tree.Link{
		"name ..":  func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw("..", "x")) },
		"name .":   func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw(".", "x")) },
		"no name":  func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw("", "x")) },
		"slash":    func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw("../x", "x")) },
		"absolute": func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw("/etc/passwd", "x")) },
		"NUL":      func(s *treetest.Store) tree.Link { return s.Directory("", s.Raw("a\x00b", "x")) },
		"twice":    func(s *treetest.Store) tree.Link { return s.Directory("", s.Symlink("x", "/etc"), s.Raw("x", "x")) },
		"deep":     func(s *treetest.Store) tree.Link { return deep(s, tree.MaxDepth+2) },
		"no data":  func(s *treetest.Store) tree.Link { return tree.Link{CID: s.Put(cid.DagProtobuf, nil)} },
		"garbage":  func(s *treetest.Store) tree.Link { return tree.Link{CID: s.Put(cid.DagProtobuf, []byte("\xff\xff"))} },
		"cut": func(s *treetest.Store) tree.Link {
			return tree.Link{CID: s.Put(cid.DagProtobuf, []byte{0x12, 0x7f, 0x0a})}
		},
		"file too long":        func(s *treetest.Store) tree.Link { return file(s, 5, []uint64{3}, s.Raw("", "abc")) },
		"part of other length": func(s *treetest.Store) tree.Link { return file(s, 4, []uint64{4}, s.Raw("", "abc")) },
		"too few lengths": func(s *treetest.Store) tree.Link {
			return file(s, 3, []uint64{3}, s.Raw("", "abc"), s.Raw("", "d"))
		},
		"empty part": func(s *treetest.Store) tree.Link { return file(s, 0, []uint64{0}, s.Raw("", "")) },
		"overflowing": func(s *treetest.Store) tree.Link {
			return file(s, 2, []uint64{1 << 63, 1<<63 + 2}, s.Raw("", "a"), s.Raw("", "b"))
		},
		"directory in a file": func(s *treetest.Store) tree.Link { return file(s, 1, []uint64{1}, s.Directory("")) },
		"node of other length": func(s *treetest.Store) tree.Link {
			return file(s, 4, []uint64{4}, s.File("", "ab", "c"))
		},
		"file of too many levels": func(s *treetest.Store) tree.Link { return chain(s, 70) },
		"symlink with links":      func(s *treetest.Store) tree.Link { return node(s, u{Type: 4}, s.Raw("", "x")) },
		"HAMT of another hash": func(s *treetest.Store) tree.Link {
			return node(s, u{Type: 5, HashType: n(1), Fanout: n(256)})
		},
		"HAMT without fanout":     func(s *treetest.Store) tree.Link { return node(s, u{Type: 5, HashType: murmur}) },
		"HAMT of odd fanout":      func(s *treetest.Store) tree.Link { return part(s, 200) },
		"HAMT of huge fanout":     func(s *treetest.Store) tree.Link { return part(s, 1<<40) },
		"HAMT with a short name":  func(s *treetest.Store) tree.Link { return part(s, 256, s.Raw("A", "x")) },
		"HAMT with a wrong place": func(s *treetest.Store) tree.Link { return part(s, 256, s.Raw("ZZname", "x")) },
		"HAMT with a lost name": func(s *treetest.Store) tree.Link {
			return part(s, 256, s.Raw("00name", "x"), s.Raw("01name", "x"))
		},
		"HAMT below a directory": func(s *treetest.Store) tree.Link { return part(s, 256, named(s.Directory(""), "00")) },
		"HAMT of mixed fanouts":  func(s *treetest.Store) tree.Link { return part(s, 256, named(part(s, 16), "00")) },
		"HAMT of a raw block":    func(s *treetest.Store) tree.Link { return part(s, 256, named(s.Raw("", "x"), "00")) },
		"HAMT of empty parts":    func(s *treetest.Store) tree.Link { return part(s, 256, named(part(s, 256), "00")) },
		"HAMT with a place twice": func(s *treetest.Store) tree.Link {
			_, other := sameHashes(s)
			return part(s, 256, other, other)
		},
		"HAMT with a part and a name at a place": func(s *treetest.Store) tree.Link {
			place, name := sameHashes(s)
			return part(s, 256, named(part(s, 256, s.Raw("00x", "x")), place), name)
		},
		"HAMT that is not sorted": func(s *treetest.Store) tree.Link {
			return part(s, 256, placed(s, "a"), placed(s, "b"))
		},
		"HAMT that is a bomb":     hamtBomb,
		"HAMT deeper than a hash": func(s *treetest.Store) tree.Link { return deepHAMT(s, 30) },
		"HAMT with a bad name":    func(s *treetest.Store) tree.Link { return part(s, 256, s.Raw("6E..", "x")) },
		"missing codec":           func(s *treetest.Store) tree.Link { return block(s, cid.DagCBOR, "\xa0") },
		"metadata":                func(s *treetest.Store) tree.Link { return node(s, u{Type: treetest.TypeMetadata}) },
		"unknown type":            func(s *treetest.Store) tree.Link { return node(s, u{Type: 99}) },
		"directory of other codec": func(s *treetest.Store) tree.Link {
			return s.Directory("", tree.Link{Name: "x", CID: s.Put(cid.DagCBOR, []byte{0xa0})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := treetest.New()
			root := make(s)
			err := walkAll(t.Context(), s, root.CID)
			if !errors.Is(err, tree.ErrMalformed) && !errors.Is(err, tree.ErrUnsupported) {
				t.Errorf("%v", err)
			}
		})
	}
}

// placed returns an entry with the name that a HAMT of 256 places has for it.
func placed(s *treetest.Store, name string) tree.Link {
	return s.Raw(fmt.Sprintf("%02X%s", murmur3.Sum64([]byte(name))>>56, name), name)
}

// sameHashes returns an entry of a HAMT, and its place.
func sameHashes(s *treetest.Store) (place string, entry tree.Link) {
	entry = placed(s, "a")
	return entry.Name[:2], entry
}

func deep(s *treetest.Store, depth int) tree.Link {
	link := s.Directory("d")
	for range depth {
		link = s.Directory("d", link)
	}
	return link
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

func hamtPart(s *treetest.Store, links ...tree.Link) tree.Link {
	data := treetest.UnixFS{Type: treetest.TypeHAMT, HashType: treetest.Number(0x22), Fanout: treetest.Number(256)}
	return tree.Link{CID: s.Node(data, links...)}
}

// hamtBomb makes a HAMT with 256^7 ways to the same part.
func hamtBomb(s *treetest.Store) tree.Link {
	below := hamtPart(s, s.Raw("00name", "x"))
	for range 7 {
		var links []tree.Link
		for place := range 256 {
			links = append(links, tree.Link{Name: fmt.Sprintf("%02X", place), CID: below.CID})
		}
		below = hamtPart(s, links...)
	}
	return below
}

func deepHAMT(s *treetest.Store, depth int) tree.Link {
	below := hamtPart(s, s.Raw("00name", "x"))
	for range depth {
		below = hamtPart(s, tree.Link{Name: "00", CID: below.CID})
	}
	return below
}

func TestMissingBlocks(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Directory("a", s.File("f", "1", "2")), s.Raw("b", "x"))
	for _, c := range s.All() {
		without := missing{s, c}
		if err := walkAll(t.Context(), without, root.CID); !errors.Is(err, blocks.ErrNotFound) {
			t.Errorf("without %s: %v", c, err)
		}
	}
}

type missing struct {
	*treetest.Store
	lost cid.Cid
}

func (m missing) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	if slices.Contains(cids, m.lost) {
		return blocks.ErrNotFound
	}
	return m.Store.Fetch(ctx, cids, use)
}
