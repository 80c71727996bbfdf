package export_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	gocar "github.com/ipld/go-car/v2"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/export"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

// exported returns the blocks of a CAR, as another reader sees them.
func exported(t *testing.T, s *treetest.Store, root cid.Cid) (all []cid.Cid) {
	t.Helper()
	var file bytes.Buffer
	task := progress.NewTask("", "")
	sum, err := export.Exporter{Blocks: s, Workers: 3, Progress: task}.Run(t.Context(), root, &file)
	if err != nil || sum.Bytes != int64(file.Len()) {
		t.Fatalf("%+v, %d bytes: %v", sum, file.Len(), err)
	}

	reader, err := gocar.NewBlockReader(&file)
	if err != nil || len(reader.Roots) != 1 || reader.Roots[0] != root {
		t.Fatalf("%v, %v", reader, err)
	}

	for block, err := reader.Next(); !errors.Is(err, io.EOF); block, err = reader.Next() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, block.Cid())
	}

	if state := task.State(); state.Items != sum.Blocks || state.Bytes != state.BytesTotal {
		t.Errorf("progress of %+v: %+v", sum, state)
	}
	if sum.Blocks != int64(len(all)) {
		t.Errorf("%d of %d blocks", len(all), sum.Blocks)
	}
	return all
}

func TestBlocksComeDepthFirstAndOnce(t *testing.T) {
	s := treetest.New()
	a, b, c := s.Raw("a", "a"), s.Raw("", "b"), s.Raw("z", "z")
	file := s.File("file", "a", "b", "b")
	inner := s.Directory("inner", a, file)
	again := s.Directory("other", file, c)
	root := s.Directory("", a, inner, again, c)

	want := []cid.Cid{root.CID, a.CID, inner.CID, file.CID, b.CID, again.CID, c.CID}
	if got := exported(t, s, root.CID); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if got := exported(t, s, a.CID); !slices.Equal(got, []cid.Cid{a.CID}) {
		t.Errorf("a single block: %v", got)
	}
}

// TestOrderDoesNotDependOnWorkers exports more than fits into one piece.
func TestOrderDoesNotDependOnWorkers(t *testing.T) {
	s := treetest.New()
	var entries []tree.Link
	var want []cid.Cid
	for i := range 40 {
		var parts []string
		for j := range 5 {
			parts = append(parts, strings.Repeat(string(rune('a'+j)), 100_000+i))
		}

		file := s.File(strings.Repeat("n", i+1), parts...)
		entries = append(entries, file)
		want = append(want, file.CID)
		for _, part := range parts {
			want = append(want, s.Raw("", part).CID)
		}
	}

	root := s.Directory("", entries...)
	if got := exported(t, s, root.CID); !slices.Equal(got, append([]cid.Cid{root.CID}, want...)) {
		t.Errorf("%d of %d blocks, or in another order", len(got), len(want)+1)
	}
}

func TestWhatCannotBeExported(t *testing.T) {
	s := treetest.New()
	lost := s.Raw("x", "x")
	root := s.Directory("", s.Directory("d", lost), s.Raw("y", "y"))
	s.Remove(lost.CID)

	deep := s.Directory("d")
	for range 9 * tree.MaxDepth {
		deep = s.Directory("d", deep)
	}

	for want, root := range map[error]cid.Cid{
		blocks.ErrNotFound:  root.CID,
		tree.ErrMalformed:   s.Put(cid.DagProtobuf, []byte{0xff}),
		tree.ErrUnsupported: s.Put(cid.DagCBOR, []byte{0xa0}),
		export.ErrTooDeep:   deep.CID,
	} {
		if _, err := (export.Exporter{Blocks: s, Workers: 2}).Run(t.Context(), root, io.Discard); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}

	full := errors.New("disk full")
	if _, err := (export.Exporter{Blocks: s}).Run(t.Context(), s.Raw("", "y").CID, failing{full}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := export.Exporter{Blocks: s}.Run(ended, s.Raw("", "y").CID, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
