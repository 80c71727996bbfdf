package tree

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
)

// maxFileDepth limits the nodes above a part of a file. With two links per node that is more than any file needs.
const maxFileDepth = 64

// Part is a piece of a file: a whole block, or bytes that a node above the blocks contains itself.
type Part struct {
	// Offset is the position of the part in the file.
	Offset, Size uint64
	// CID is the CID of the part's block. It is undefined if Content has the bytes.
	CID     cid.Cid
	Content []byte
}

// Block returns the only part of a file that is a raw block.
func (n *Node) Block() Part {
	if n.content != nil {
		return Part{Size: n.Size, Content: n.content}
	}
	return Part{Size: n.Size, CID: n.CID}
}

// Parts yields, in order, the parts of a file that hold any of its bytes from begin up to end. It reads only the
// nodes that lead to them. An empty file has one part. If lengths do not agree, Parts yields ErrMalformed.
func (n *Node) Parts(ctx context.Context, from Blocks, begin, end uint64) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		p := partReader{ctx: ctx, from: from, begin: begin, end: end, yield: yield}
		if n.Kind != File {
			yield(Part{}, fmt.Errorf("%s is a %s, not a file", n.CID, n.Kind))
			return
		}
		p.below(n, 0, 0)
	}
}

type partReader struct {
	ctx        context.Context //nolint:containedctx // it belongs to one iteration
	from       Blocks
	begin, end uint64
	yield      func(Part, error) bool
}

func (p *partReader) wanted(offset, size uint64) bool {
	return offset < p.end && offset+size > p.begin || size == 0 && p.begin == 0
}

// below yields the parts of a node that lies at an offset. It reports whether to go on.
func (p *partReader) below(n *Node, offset uint64, depth int) bool {
	if depth > maxFileDepth {
		return p.fail(n, malformed("a file of more than %d levels", maxFileDepth))
	}

	if n.CID.Type() == cid.Raw {
		return !p.wanted(offset, n.Size) || p.yield(n.Block(), nil)
	}

	// Content in the node itself comes before the content of its links.
	length := uint64(len(n.content))
	if (length > 0 || len(n.links) == 0) && p.wanted(offset, length) {
		if !p.yield(Part{Offset: offset, Size: length, Content: n.content}, nil) {
			return false
		}
	}

	for i, at := 0, offset+length; i < len(n.links); i++ {
		size := n.sizes[i]
		if p.wanted(at, size) && !p.child(n.links[i], at, size, depth) {
			return false
		}
		at += size
	}
	return true
}

func (p *partReader) child(link Link, offset, size uint64, depth int) bool {
	if link.CID.Type() == cid.Raw {
		return p.yield(Part{Offset: offset, Size: size, CID: link.CID}, nil)
	}

	node, err := Read(p.ctx, p.from, link.CID)
	if err != nil {
		p.yield(Part{}, err)
		return false
	}

	if node.Kind != File || node.Size != size {
		return p.fail(node, malformed("a part of %d bytes is a %s of %d", size, node.Kind, node.Size))
	}

	return p.below(node, offset, depth+1)
}

func (p *partReader) fail(n *Node, err error) bool {
	p.yield(Part{}, fmt.Errorf("%s: %w", n.CID, err))
	return false
}

// FetchParts calls use with the content of each part, in their order, as Fetch does. A block whose length differs
// from its part is ErrMalformed.
func FetchParts(ctx context.Context, from Blocks, parts []Part, use func(part Part, content []byte) error) error {
	for len(parts) > 0 {
		if !parts[0].CID.Defined() {
			if err := use(parts[0], parts[0].Content); err != nil {
				return err
			}
			parts = parts[1:]
			continue
		}

		// The blocks up to the next part with content are fetched together.
		var cids []cid.Cid
		for _, part := range parts {
			if !part.CID.Defined() {
				break
			}
			cids = append(cids, part.CID)
		}

		err := from.Fetch(ctx, cids, func(i int, content []byte) error {
			if uint64(len(content)) != parts[i].Size {
				return fmt.Errorf("%s: %w", cids[i], malformed("a part of %d bytes has %d", parts[i].Size, len(content)))
			}
			return use(parts[i], content)
		})
		if err != nil {
			return err
		}

		parts = parts[len(cids):]
	}
	return nil
}

// BatchBytes is about the size of a batch.
const BatchBytes = 1 << 20

// Batches groups the parts of a file into batches of about BatchBytes.
func Batches(parts iter.Seq2[Part, error]) iter.Seq2[[]Part, error] {
	return func(yield func([]Part, error) bool) {
		var batch []Part
		size := uint64(0)

		for part, err := range parts {
			if err != nil {
				yield(nil, err)
				return
			}

			// A part that is larger than a batch is a batch of its own.
			if len(batch) > 0 && size+part.Size > BatchBytes {
				if !yield(batch, nil) {
					return
				}
				batch, size = nil, 0
			}

			batch, size = append(batch, part), size+part.Size
		}

		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// WriteRange writes the bytes of a file from begin up to end. It reads only the blocks that hold them.
func (n *Node) WriteRange(ctx context.Context, from Blocks, begin, end uint64, to io.Writer) error {
	for batch, err := range Batches(n.Parts(ctx, from, begin, end)) {
		if err != nil {
			return err
		}

		err = FetchParts(ctx, from, batch, func(part Part, content []byte) error {
			// The first and the last part may reach beyond the range.
			first := max(begin, part.Offset) - part.Offset
			last := min(end, part.Offset+part.Size) - part.Offset
			if first >= last {
				return nil
			}

			_, err := to.Write(content[first:last])
			return err
		})

		if err != nil {
			return err
		}
	}
	return nil
}
