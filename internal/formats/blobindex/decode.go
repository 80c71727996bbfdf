package blobindex

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/datamodel"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

// MaxSize bounds the size of an index that Decode accepts. The slices that the largest layout allows take far less.
const MaxSize = 32 << 20

// Decode reads an index and detects its layout. An index without slices counts as Storacha or, if it names no
// content, as Forge. Decode returns ErrFormat for anything that is not an index or does not match its own CIDs, and
// errors of the reader.
func Decode(from io.Reader) (index Index, layout Layout, err error) {
	limited := &io.LimitedReader{R: from, N: MaxSize + 1}
	roots, blocks, err := read(limited)

	// A read that used up the limit may have failed for that reason alone.
	if limited.N <= 0 {
		err = fmt.Errorf("%w: more than %d bytes", ErrFormat, MaxSize)
	}

	if err != nil {
		return index, "", err
	}

	if len(roots) != 1 {
		return index, "", fmt.Errorf("%w: %d roots", ErrFormat, len(roots))
	}

	d := decoder{blocks: blocks}
	index, err = d.index(roots[0])
	if err == nil {
		layout, err = d.layoutOf(index)
	}

	if err != nil {
		return Index{}, "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return index, layout, nil
}

// read returns the roots and blocks of a CAR file. It verifies that the blocks match their CIDs.
func read(from io.Reader) (roots []cid.Cid, blocks map[cid.Cid][]byte, err error) {
	failing := &remembering{r: from}
	in, err := carv2.NewBlockReader(failing, carv2.MaxAllowedHeaderSize(1<<10), carv2.MaxAllowedSectionSize(MaxSize))
	blocks = map[cid.Cid][]byte{}

	for err == nil {
		var id cid.Cid
		var data []byte
		if id, data, err = next(in); err == nil {
			blocks[id] = data
		}
	}

	// A failing reader says nothing about the format of the index.
	switch {
	case failing.err != nil:
		return nil, nil, fmt.Errorf("read the index: %w", failing.err)
	case in == nil || !errors.Is(err, io.EOF):
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case in.Version != 1:
		return nil, nil, fmt.Errorf("%w: a CAR of version %d", ErrFormat, in.Version)
	}
	return in.Roots, blocks, nil
}

func next(in *carv2.BlockReader) (cid.Cid, []byte, error) {
	b, err := in.Next()
	if err != nil {
		return cid.Undef, nil, err
	}
	return b.Cid(), b.RawData(), nil
}

// remembering keeps the error of a reader, which other code may hide.
type remembering struct {
	r   io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// decoder decodes the blocks of one index.
type decoder struct {
	blocks map[cid.Cid][]byte
	// flat is true if slices are laid out as in Spec, and nested if they are laid out as in the other layouts.
	flat, nested bool
	slices       int64
}

func (d *decoder) index(root cid.Cid) (index Index, err error) {
	node, err := d.block(root)
	if err != nil {
		return index, err
	}

	if node, err = node.LookupByString(label); err != nil {
		return index, err
	}

	// Only Forge names no content.
	if content, lookErr := node.LookupByString(contentKey); lookErr == nil {
		if index.Content, err = link(content); err != nil {
			return index, err
		}
	}

	shards, err := node.LookupByString(shardsKey)
	if err != nil {
		return index, err
	}

	for i := range items(shards) {
		node, err := shards.LookupByIndex(i)
		if err != nil {
			return index, err
		}

		shard, err := d.shard(node, index.Content.Defined())
		if err != nil {
			return index, fmt.Errorf("shard %d: %w", i, err)
		}
		index.Shards = append(index.Shards, shard)
	}
	if shards.Kind() != datamodel.Kind_List {
		return index, fmt.Errorf("shards are not a list but %s", shards.Kind())
	}
	return index, nil
}

// layoutOf returns the layout that the index turned out to have.
func (d *decoder) layoutOf(index Index) (Layout, error) {
	switch {
	case d.flat && d.nested:
		return "", errors.New("slices in two layouts")
	case d.flat && !index.Content.Defined():
		return "", errors.New("no content")
	case d.flat:
		return Spec, nil
	case index.Content.Defined():
		return Storacha, nil
	}
	return Forge, nil
}

// shard decodes the slices of one shard. content is true if the index names its content.
func (d *decoder) shard(node datamodel.Node, content bool) (shard Shard, err error) {
	id, err := link(node)
	if err != nil {
		return shard, err
	}
	if node, err = d.block(id); err != nil {
		return shard, err
	}

	// A shard is [digest, slices] in every layout.
	parts, err := tuple(node, 2, 2)
	if err != nil {
		return shard, err
	}

	if shard.Digest, err = digest(parts[0]); err != nil {
		return shard, err
	}

	if parts[1].Kind() != datamodel.Kind_List {
		return shard, fmt.Errorf("slices are not a list but %s", parts[1].Kind())
	}

	// A hostile index must not make the decoder allocate without bound.
	if d.slices += parts[1].Length(); d.slices > Storacha.MaxSlices() {
		return shard, fmt.Errorf("more than %d slices", Storacha.MaxSlices())
	}

	for i := range items(parts[1]) {
		node, err := parts[1].LookupByIndex(i)
		if err != nil {
			return shard, err
		}

		slice, err := d.slice(node, content)
		if err != nil {
			return shard, fmt.Errorf("slice %d: %w", i, err)
		}
		shard.Slices = append(shard.Slices, slice)
	}
	return shard, nil
}

// slice decodes a slice, whose form shows the layout of the index.
func (d *decoder) slice(node datamodel.Node, content bool) (slice Slice, err error) {
	parts, err := tuple(node, 2, 3)
	if err != nil {
		return slice, err
	}
	if slice.Digest, err = digest(parts[0]); err != nil {
		return slice, err
	}

	place := parts[1:]
	if len(parts) == 3 {
		d.flat = true
	} else {
		d.nested = true
		if place, err = tuple(parts[1], 2, 2); err != nil {
			return slice, err
		}
	}

	first, err := place[0].AsInt()
	if err != nil {
		return slice, err
	}
	second, err := place[1].AsInt()
	if err != nil {
		return slice, err
	}

	slice.Offset, slice.Length = first, second
	if len(parts) == 2 && !content { // Forge gives the position of the last byte
		slice.Length = second - first + 1
	}

	// The range must not be negative or overflow.
	if first < 0 || second < -1 || slice.Length < 0 || first+slice.Length < first {
		return slice, fmt.Errorf("not a range of a shard: %d, %d", first, second)
	}
	return slice, nil
}

func (d *decoder) block(id cid.Cid) (datamodel.Node, error) {
	data, found := d.blocks[id]
	if !found || id.Type() != cid.DagCBOR {
		return nil, fmt.Errorf("it has no DAG-CBOR block %s", id)
	}

	to := basicnode.Prototype.Any.NewBuilder()
	options := dagcbor.DecodeOptions{AllowLinks: true, AllocationBudget: 2 * MaxSize, MaxDepth: 8}
	if err := options.Decode(to, bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("block %s: %w", id, err)
	}
	return to.Build(), nil
}

// items returns the number of items of a list, or 0 for anything else.
func items(node datamodel.Node) int64 {
	if node.Kind() != datamodel.Kind_List {
		return 0
	}
	return node.Length()
}

// tuple returns the items of a list that must have between least and most items.
func tuple(node datamodel.Node, least, most int64) (parts []datamodel.Node, err error) {
	if n := items(node); n < least || n > most {
		return nil, fmt.Errorf("%s of %d items where %d were expected", node.Kind(), n, least)
	}

	for i := range node.Length() {
		part, err := node.LookupByIndex(i)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func digest(node datamodel.Node) (digest [sha256.Size]byte, err error) {
	raw, err := node.AsBytes()
	if err != nil {
		return digest, err
	}
	if !isSHA256(raw) {
		return digest, fmt.Errorf("%x is not a multihash of sha2-256", raw[:min(len(raw), 2+sha256.Size)])
	}
	return [sha256.Size]byte(raw[2:]), nil
}

func link(node datamodel.Node) (cid.Cid, error) {
	to, err := node.AsLink()
	if err != nil {
		return cid.Undef, err
	}
	typed, ok := to.(cidlink.Link)
	if !ok {
		return cid.Undef, fmt.Errorf("a link of type %T", to)
	}
	return typed.Cid, nil
}
