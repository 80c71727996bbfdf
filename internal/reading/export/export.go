// Package export writes a DAG as one CAR v1 file.
package export

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// ErrTooDeep is returned for a DAG that is deeper than any file or directory needs.
var ErrTooDeep = errors.New("the DAG is too deep")

// Exporter writes DAGs.
type Exporter struct {
	Blocks  tree.Blocks
	Workers int
	// Progress may be nil.
	Progress *progress.Task
}

// Summary counts what was written.
type Summary struct {
	Blocks int64
	Bytes  int64
}

// Run writes the DAG of a root: a header that names the root, then each distinct block once, depth first, parents
// before their children. It needs about 50 bytes of memory for each block. It returns blocks.ErrNotFound, a
// *blocks.BlockError, tree.ErrMalformed, ErrTooDeep and errors of the writer.
func (e Exporter) Run(ctx context.Context, root cid.Cid, to io.Writer) (Summary, error) {
	header, err := carHeader(root)
	if err != nil {
		return Summary{}, err
	}
	if _, err := to.Write(header); err != nil {
		return Summary{}, err
	}

	group, ctx := errgroup.WithContext(ctx)
	workers := max(1, e.Workers)

	e.Progress.Begin("exporting", "block")
	r := &run{
		blocks: e.Blocks, progress: e.Progress, seen: map[[sha256.Size]byte]struct{}{}, work: make(chan *piece),
		ordered: make(chan *piece, workers+1), free: make(chan []byte, 2*workers+4),
	}

	// One goroutine walks the DAG, the workers read the blocks that it finds, and the last one writes them in
	// order.
	group.Go(func() error {
		defer close(r.work)
		defer close(r.ordered)
		if err := r.block(ctx, tree.Link{CID: root}, 0); err != nil {
			return err
		}
		return r.flush(ctx)
	})

	for range workers {
		group.Go(func() error { return r.fetch(ctx) })
	}
	group.Go(func() error { return r.write(ctx, to) })

	err = group.Wait()
	r.sum.Bytes += int64(len(header))
	return r.sum, err
}

// carHeader returns the header of a CAR v1 with one root.
func carHeader(root cid.Cid) ([]byte, error) {
	length := 1 + root.ByteLen() // in CBOR a CID begins with a zero byte
	if length < 24 || length > 255 {
		return nil, fmt.Errorf("%s: %w: a CID of %d bytes", root, tree.ErrUnsupported, root.ByteLen())
	}
	body := append([]byte("\xa2\x65roots\x81\xd8\x2a\x58"), byte(length), 0)
	body = append(append(body, root.Bytes()...), "\x67version\x01"...)
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...), nil
}

type run struct {
	blocks tree.Blocks
	seen   map[[sha256.Size]byte]struct{}
	// next is the piece that is being put together. work leads to the workers that fetch pieces, ordered to the
	// writer.
	next    *piece
	work    chan *piece
	ordered chan *piece
	free    chan []byte
	sum     Summary
	// progress counts the bytes of blocks. The total is what the root claims, less what comes more than once.
	progress *progress.Task
}

// expect adds to the size of the DAG, which links claim.
func (r *run) expect(sign int64, bytes uint64) {
	r.progress.Expect(0, sign*int64(min(bytes, tree.MostBytes)))
}

// piece is a sequence of blocks, with the bytes of those that are nodes.
type piece struct {
	cids  []cid.Cid
	nodes map[int][]byte
	size  uint64
	// content is the length of all blocks, as links claim it.
	content int64
	// encoded holds the sections of all blocks once done is closed.
	encoded []byte
	done    chan struct{}
}

const (
	pieceBytes  = 1 << 20
	pieceBlocks = 512
)

// key returns a key that identifies the block of a CID.
func key(c cid.Cid) [sha256.Size]byte {
	hash := c.Hash()
	if len(hash) == 2+sha256.Size {
		return [sha256.Size]byte(hash[2:])
	}
	return sha256.Sum256(hash)
}

// block adds a block and all blocks below it.
func (r *run) block(ctx context.Context, link tree.Link, depth int) error {
	if _, seen := r.seen[key(link.CID)]; seen {
		r.expect(-1, link.Size)
		return nil
	}
	r.seen[key(link.CID)] = struct{}{}

	switch {
	case depth > tree.MaxLinks:
		return ErrTooDeep
	case link.CID.Type() == cid.Raw:
		return r.add(ctx, link.CID, nil, link.Size)
	case link.CID.Type() != cid.DagProtobuf:
		return fmt.Errorf("%s: %w: codec 0x%x", link.CID, tree.ErrUnsupported, link.CID.Type())
	}

	var links []tree.Link
	err := r.blocks.Fetch(ctx, []cid.Cid{link.CID}, func(_ int, block []byte) (err error) {
		// The bytes of the block are valid only here, but the links and the piece outlive them.
		if links, err = tree.Links(append([]byte{}, block...)); err != nil {
			return fmt.Errorf("%s: %w", link.CID, err)
		}
		if depth == 0 {
			r.expect(1, uint64(len(block)))
			for _, link := range links {
				r.expect(1, link.Size)
			}
		}
		return r.add(ctx, link.CID, append([]byte{}, block...), uint64(len(block)))
	})

	for i := 0; err == nil && i < len(links); i++ {
		err = r.block(ctx, links[i], depth+1)
	}

	return err
}

// add adds a block to the next piece. data is nil if the block has not been read yet.
func (r *run) add(ctx context.Context, c cid.Cid, data []byte, size uint64) error {
	if r.next == nil {
		r.next = &piece{nodes: map[int][]byte{}, done: make(chan struct{})}
	}

	p := r.next
	if data != nil {
		p.nodes[len(p.cids)] = data
	}

	p.cids, p.size = append(p.cids, c), p.size+min(size, pieceBytes)
	p.content += int64(min(size, tree.MostBytes))

	if p.size < pieceBytes && len(p.cids) < pieceBlocks {
		return nil
	}
	return r.flush(ctx)
}

func (r *run) flush(ctx context.Context) error {
	p := r.next
	r.next = nil
	if p == nil {
		return nil
	}

	// The channel to the writer is bounded and comes first, which limits the pieces in memory.
	for _, to := range []chan *piece{r.ordered, r.work} {
		select {
		case to <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// fetch reads the blocks of pieces.
func (r *run) fetch(ctx context.Context) error {
	for p := range r.work {
		select {
		case p.encoded = <-r.free:
		default:
			p.encoded = make([]byte, 0, pieceBytes+pieceBytes/4)
		}

		if err := p.fetch(ctx, r.blocks); err != nil {
			return err
		}
		close(p.done)
	}
	return nil
}

func (p *piece) fetch(ctx context.Context, from tree.Blocks) error {
	var missing []cid.Cid
	for i, c := range p.cids {
		if p.nodes[i] == nil {
			missing = append(missing, c)
		}
	}

	// The nodes are known. They are encoded between the blocks that are yet to be read.
	at := 0
	known := func() {
		for ; at < len(p.cids) && p.nodes[at] != nil; at++ {
			p.encode(p.cids[at], p.nodes[at])
		}
	}

	known()

	return from.Fetch(ctx, missing, func(i int, block []byte) error {
		p.encode(missing[i], block)
		at++
		known()
		return nil
	})
}

// encode appends the section of a block.
func (p *piece) encode(c cid.Cid, block []byte) {
	p.encoded = binary.AppendUvarint(p.encoded, uint64(c.ByteLen()+len(block)))
	p.encoded = append(p.encoded, c.KeyString()...)
	p.encoded = append(p.encoded, block...)
}

// write writes pieces in their order.
func (r *run) write(ctx context.Context, to io.Writer) error {
	for p := range r.ordered {
		select {
		case <-p.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}

		if _, err := to.Write(p.encoded); err != nil {
			return err
		}

		r.sum.Blocks += int64(len(p.cids))
		r.sum.Bytes += int64(len(p.encoded))
		r.progress.Add(int64(len(p.cids)), p.content)

		// Buffers are used again as long as there is room for them.
		select {
		case r.free <- p.encoded[:0]:
		default:
		}
	}
	return nil
}
