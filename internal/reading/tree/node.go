// Package tree reads files, directories and symlinks from UnixFS DAGs of any origin. It trusts no length, name or
// depth that a DAG claims.
package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-unixfsnode/data"
	dagpb "github.com/ipld/go-codec-dagpb"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
)

// Blocks reads the blocks of DAGs.
type Blocks interface {
	// Fetch calls use with each block, in their order. The bytes are valid until use returns.
	Fetch(ctx context.Context, cids []cid.Cid, use func(i int, data []byte) error) error
}

var (
	// ErrMalformed is returned for a block that is not a node of a well-formed UnixFS DAG.
	ErrMalformed = errors.New("malformed UnixFS DAG")
	// ErrUnsupported is returned for blocks of a codec, or nodes of a type, that is not used for files and
	// directories.
	ErrUnsupported = errors.New("not a UnixFS file, directory or symlink")
)

// Kind is the kind of entry that a node stands for.
type Kind uint8

// The kinds of nodes.
const (
	File Kind = iota + 1
	Directory
	Symlink
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symlink"
	}
	return "unknown"
}

// Link is a link from a node to a DAG below it.
type Link struct {
	Name string
	CID  cid.Cid
	// Size is the length of all blocks below the link, as the link claims.
	Size uint64
}

// Node is the root of a file, directory or symlink.
type Node struct {
	CID  cid.Cid
	Kind Kind
	// Size is the length of a file.
	Size uint64
	// Target is the content of a symlink.
	Target string

	links []Link
	// content is the content that a file's node contains itself. The content of its links follows, with the
	// lengths in sizes.
	content []byte
	sizes   []uint64
	// fanout is the fanout of a directory that is a HAMT, and 0 for any other node.
	fanout int
}

// Decode decodes a block of a UnixFS DAG. It keeps no reference to the bytes. It returns ErrMalformed or
// ErrUnsupported.
func Decode(c cid.Cid, block []byte) (*Node, error) {
	var node *Node
	var err error

	// The node outlives the bytes of the block.
	switch c.Type() {
	case cid.Raw:
		node = &Node{Kind: File, Size: uint64(len(block)), content: append([]byte{}, block...)}
	case cid.DagProtobuf:
		node, err = decodeNode(append([]byte{}, block...))
	default:
		err = fmt.Errorf("%w: codec 0x%x", ErrUnsupported, c.Type())
	}

	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}

	node.CID = c
	return node, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// Links returns the links of a dag-pb block, or ErrMalformed.
func Links(block []byte) ([]Link, error) {
	links, _, err := decodeLinks(block)
	return links, err
}

// decodeLinks returns the links and the data of a dag-pb block.
func decodeLinks(block []byte) (links []Link, content []byte, err error) {
	builder := dagpb.Type.PBNode.NewBuilder()
	if err := dagpb.DecodeBytes(builder, block); err != nil {
		return nil, nil, malformed("dag-pb: %w", err)
	}

	decoded, ok := builder.Build().(dagpb.PBNode)
	if !ok {
		return nil, nil, malformed("dag-pb")
	}

	if decoded.FieldData().Exists() {
		content = decoded.FieldData().Must().Bytes()
	}

	links = make([]Link, 0, decoded.FieldLinks().Length())
	for each := decoded.FieldLinks().Iterator(); !each.Done(); {
		_, encoded := each.Next()
		link, ok := encoded.FieldHash().Link().(cidlink.Link)
		if !ok || !link.Defined() {
			return nil, nil, malformed("link %d has no CID", len(links))
		}

		decoded := Link{CID: link.Cid}
		if encoded.FieldName().Exists() {
			decoded.Name = encoded.FieldName().Must().String()
		}
		if encoded.FieldTsize().Exists() {
			decoded.Size = uint64(encoded.FieldTsize().Must().Int())
		}

		links = append(links, decoded)
	}
	return links, content, nil
}

func decodeNode(block []byte) (*Node, error) {
	links, content, err := decodeLinks(block)
	if err != nil {
		return nil, err
	}

	described, err := data.DecodeUnixFSData(content)
	if err != nil {
		return nil, malformed("UnixFS data: %w", err)
	}

	var payload []byte
	if described.FieldData().Exists() {
		payload = described.FieldData().Must().Bytes()
	}

	node := &Node{links: links}

	switch kind := described.FieldDataType().Int(); kind {
	case data.Data_File, data.Data_Raw:
		return node, node.decodeFile(described, payload)
	case data.Data_Directory:
		node.Kind = Directory
	case data.Data_HAMTShard:
		node.Kind = Directory
		return node, node.decodeHAMT(described)
	case data.Data_Symlink:
		node.Kind, node.Target = Symlink, string(payload)
		if len(links) > 0 {
			return nil, malformed("a symlink with %d links", len(links))
		}
	default:
		return nil, fmt.Errorf("%w: UnixFS type %d", ErrUnsupported, kind)
	}

	return node, nil
}

// decodeFile checks that the lengths of a file's parts add up to the length of the file, and that no part is
// empty.
func (n *Node) decodeFile(described data.UnixFSData, payload []byte) error {
	n.Kind, n.content, n.Size = File, payload, uint64(len(payload))
	for each := described.FieldBlockSizes().Iterator(); !each.Done(); {
		_, encoded := each.Next()
		size := uint64(encoded.Int())
		if size == 0 || size > maxFileSize-n.Size {
			return malformed("part %d of a file has %d bytes", len(n.sizes), size)
		}

		n.sizes = append(n.sizes, size)
		n.Size += size
	}

	if len(n.sizes) != len(n.links) {
		return malformed("a file of %d parts has %d lengths", len(n.links), len(n.sizes))
	}

	if described.FieldFileSize().Exists() {
		if claimed := uint64(described.FieldFileSize().Must().Int()); claimed != n.Size {
			return malformed("a file of %d bytes claims to have %d", n.Size, claimed)
		}
	}
	return nil
}

// Below is a link of a node of any kind.
type Below struct {
	Link
	// IsEntry is true if the link leads to an entry of a directory. The name of the link is then the name of the
	// entry.
	IsEntry bool
	// IsPart is true if the node is a file or a part of one. Content is then the length of the content below the
	// link.
	Content uint64
	IsPart  bool
}

// Below returns all links of a node, in their order. It returns ErrMalformed for names that no directory may
// have, and for names that come twice.
func (n *Node) Below() ([]Below, error) {
	all := make([]Below, len(n.links))
	for i, link := range n.links {
		all[i].Link = link

		switch {
		case n.Kind == File:
			all[i].IsPart, all[i].Content = true, n.sizes[i]
			all[i].Name = ""
		case n.fanout != 0:
			_, name, err := n.hamtRoot().place(link)
			if err != nil {
				return nil, err
			}

			all[i].Name, all[i].IsEntry = name, name != ""
		default:
			all[i].IsEntry = true
		}

		if all[i].IsEntry {
			if err := checkName(all[i].Name); err != nil {
				return nil, err
			}
		}
	}

	return all, n.namesDiffer()
}

// namesDiffer returns an error if a name comes twice in a directory of one block. In a HAMT no name can.
func (n *Node) namesDiffer() error {
	if n.Kind != Directory || n.fanout != 0 {
		return nil
	}

	names := make([]string, len(n.links))
	for i, link := range n.links {
		names[i] = link.Name
	}

	slices.Sort(names)
	for i := range names {
		if i > 0 && names[i] == names[i-1] {
			return malformed("duplicate name %q", names[i])
		}
	}

	return nil
}

const maxFileSize = 1<<63 - 1

// Read reads the root of a file, directory or symlink. It returns ErrMalformed or ErrUnsupported for any other
// block.
func Read(ctx context.Context, from Blocks, c cid.Cid) (node *Node, err error) {
	nodes, err := readNodes(ctx, from, []cid.Cid{c})
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func readNodes(ctx context.Context, from Blocks, cids []cid.Cid) ([]*Node, error) {
	nodes := make([]*Node, len(cids))
	err := from.Fetch(ctx, cids, func(i int, block []byte) (err error) {
		nodes[i], err = Decode(cids[i], block)
		return err
	})
	return nodes, err
}
