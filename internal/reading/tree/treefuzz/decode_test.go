// Package treefuzz_test fuzzes the decoder of nodes. It is a package of its own, without a database in it, as all code
// that a fuzz target is linked with is instrumented and looked at after each execution.
package treefuzz_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/reading/tree"
)

var errMissing = errors.New("there is no such block")

// single is a block and nothing else.
type single struct {
	cid   cid.Cid
	block []byte
}

func (s single) Fetch(_ context.Context, cids []cid.Cid, use func(i int, data []byte) error) error {
	for i, c := range cids {
		if c != s.cid {
			return fmt.Errorf("%w: %s", errMissing, c)
		}
		if err := use(i, s.block); err != nil {
			return err
		}
	}
	return nil
}

const raw = "\x0a\x24\x01\x55\x12\x20" + "01234567890123456789012345678901" // a link

var seeds = []string{
	"\x0a\x02\x08\x01", // an empty directory
	"\x12\x2b" + raw + "\x12\x01a\x18\x01\x0a\x02\x08\x01",                       // a directory with an entry
	"\x12\x2b" + raw + "\x12\x01a\x18\x01\x0a\x06\x08\x02\x18\x01\x20\x01",       // a file with a part
	"\x0a\x07\x08\x02\x12\x01x\x18\x01",                                          // a file with its content
	"\x0a\x05\x08\x04\x12\x01x",                                                  // a symlink
	"\x12\x2d" + raw + "\x12\x0300x\x18\x01\x0a\x07\x08\x05\x28\x22\x30\x80\x02", // a HAMT
}

// FuzzDecode takes any bytes for a node: what they claim is either refused or can be walked to its end.
func FuzzDecode(f *testing.F) {
	for _, block := range seeds {
		f.Add([]byte(block))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		c, err := cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256}.Sum(block)
		if err != nil {
			t.Fatal(err)
		}
		err = walk(t.Context(), single{c, block}, c)
		if err != nil && !errors.Is(err, tree.ErrMalformed) && !errors.Is(err, tree.ErrUnsupported) &&
			!errors.Is(err, errMissing) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}

func walk(ctx context.Context, from tree.Blocks, root cid.Cid) error {
	node, err := tree.Read(ctx, from, root)
	if err != nil {
		return err
	}
	_, _ = node.Below() // it may be refused
	return tree.Walk(ctx, from, node, func(e tree.Entry) error {
		if e.Node.Kind != tree.File {
			return nil
		}
		return e.Node.WriteRange(ctx, from, 0, max(1, e.Node.Size), io.Discard)
	}, nil)
}

// TestSeedsAreNodes that are worth to begin with.
func TestSeedsAreNodes(t *testing.T) {
	for _, block := range seeds {
		c := cid.NewCidV1(cid.DagProtobuf, nil)
		if _, err := tree.Decode(c, []byte(block)); err != nil {
			t.Errorf("%q: %v", block, err)
		}
	}
}
