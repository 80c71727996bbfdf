package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
)

// ErrNoEntry is returned for a name that a directory does not have.
var ErrNoEntry = errors.New("no such entry")

// Children returns the entries of a directory, sorted by their names, which are byte strings. It returns
// ErrMalformed for names that no file system could hold and for names that come twice.
func (n *Node) Children(ctx context.Context, from Blocks) ([]Link, error) {
	if n.Kind != Directory {
		return nil, fmt.Errorf("%s is a %s, not a directory", n.CID, n.Kind)
	}

	children := slices.Clone(n.links)
	if n.fanout != 0 {
		var err error
		if children, err = n.hamtLinks(ctx, from); err != nil {
			return nil, err
		}
	}

	slices.SortFunc(children, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })

	for i, child := range children {
		// Names may become paths on this host.
		if err := checkName(child.Name); err != nil {
			return nil, fmt.Errorf("directory %s: %w", n.CID, err)
		}
		if i > 0 && child.Name == children[i-1].Name {
			return nil, fmt.Errorf("directory %s: %w", n.CID, malformed("duplicate name %q", child.Name))
		}
	}
	return children, nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return malformed("an entry is called %q", name)
	}
	return nil
}

// Child returns the entry of a directory with the given name, or ErrNoEntry. In a large directory it reads only
// the nodes that lead there.
func (n *Node) Child(ctx context.Context, from Blocks, name string) (Link, error) {
	if n.Kind == Directory && n.fanout != 0 {
		return n.hamtLink(ctx, from, name)
	}

	children, err := n.Children(ctx, from)
	if err != nil {
		return Link{}, err
	}

	i, found := slices.BinarySearchFunc(children, name, func(l Link, name string) int { return cmp.Compare(l.Name, name) })
	if !found {
		return Link{}, fmt.Errorf("%w: %q", ErrNoEntry, name)
	}

	return children[i], nil
}

// fetchedAtOnce is the largest number of nodes that are read together.
const fetchedAtOnce = 32

// Kinds calls use with the root that each link leads to. It takes raw blocks for files without reading them. It
// reads the other roots some at a time, which bounds the memory that they take.
func Kinds(ctx context.Context, from Blocks, links []Link, use func(i int, node *Node) error) error {
	return kinds(ctx, from, links, fetchedAtOnce, use)
}

func kinds(ctx context.Context, from Blocks, links []Link, atOnce int, use func(i int, node *Node) error) error {
	for first := 0; first < len(links); first += atOnce {
		part := links[first:min(first+atOnce, len(links))]

		var cids []cid.Cid
		for _, link := range part {
			if link.CID.Type() != cid.Raw {
				cids = append(cids, link.CID)
			}
		}

		nodes, err := readNodes(ctx, from, cids)
		if err != nil {
			return err
		}

		// nodes lacks the raw blocks, which were not read.
		for i, link := range part {
			node := &Node{CID: link.CID, Kind: File, Size: link.Size}
			if link.CID.Type() != cid.Raw {
				node, nodes = nodes[0], nodes[1:]
			}

			if err := use(first+i, node); err != nil {
				return err
			}
		}
	}
	return nil
}
