package tree

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-unixfsnode/data"
	"github.com/twmb/murmur3"
)

const (
	murmur3x64 = 0x22 // multihash code of the only hash function that HAMTs have
	maxFanout  = 1024
)

func (n *Node) decodeHAMT(described data.UnixFSData) error {
	if !described.FieldHashType().Exists() || described.FieldHashType().Must().Int() != murmur3x64 {
		return malformed("a HAMT with a hash function other than murmur3-x64-64")
	}
	if described.FieldFanout().Exists() {
		n.fanout = int(described.FieldFanout().Must().Int())
	}
	if n.fanout < 8 || n.fanout > maxFanout || n.fanout&(n.fanout-1) != 0 {
		return malformed("a HAMT with the fanout %d", n.fanout)
	}
	return n.hamtRoot().inOrder()
}

// inOrder returns an error unless the links of a part are sorted by their places and each place comes once. Then
// no name can come twice.
func (p hamtPart) inOrder() error {
	next := uint64(0)
	for _, link := range p.links {
		place, _, err := p.place(link)
		if err != nil {
			return err
		}
		if place < next {
			return malformed("the links of a HAMT are out of order, or one is duplicated")
		}
		next = place + 1
	}
	return nil
}

// hamtPart is a node of a HAMT. The hashes of all names below it begin with the same bits: depth is their number,
// prefix is their value.
type hamtPart struct {
	*Node
	depth  int
	prefix uint64
}

func (n *Node) hamtRoot() hamtPart { return hamtPart{Node: n} }

func (p hamtPart) width() int { return bits.Len(uint(p.fanout - 1)) }

// digits returns the number of hexadecimal digits in a link's name that give its place.
func (p hamtPart) digits() int { return (p.width() + 3) / 4 }

// place splits the name of a link into its place and the name of an entry. The latter is empty if the link leads
// to another part.
func (p hamtPart) place(link Link) (place uint64, name string, err error) {
	if len(link.Name) < p.digits() {
		return 0, "", malformed("a HAMT has a link called %q", link.Name)
	}
	place, err = strconv.ParseUint(link.Name[:p.digits()], 16, 64)
	if err != nil || place >= uint64(p.fanout) {
		return 0, "", malformed("a HAMT has a link called %q", link.Name)
	}
	return place, link.Name[p.digits():], nil
}

// below returns the part at a place. The node must be a part of the same HAMT.
func (p hamtPart) below(place uint64, node *Node) (hamtPart, error) {
	part := hamtPart{Node: node, depth: p.depth + p.width(), prefix: p.prefix<<p.width() | place}
	if node.Kind != Directory || node.fanout != p.fanout || len(node.links) == 0 {
		return part, malformed("%s, below a HAMT, is not part of it", node.CID)
	}
	return part, nil
}

// deepEnough returns an error for a part below which no bit of a hash is left to distinguish names.
func (p hamtPart) deepEnough() error {
	if p.depth+p.width() > 64 {
		return malformed("a HAMT is deeper than the hash of any name")
	}
	return nil
}

// holds returns an error unless a name belongs at a place.
func (p hamtPart) holds(place uint64, name string) error {
	hash := murmur3.Sum64([]byte(name))
	if depth := p.depth + p.width(); hash>>(64-depth) != p.prefix<<p.width()|place {
		return malformed("%q is not where its hash belongs", name)
	}
	return nil
}

// hamtLinks returns all entries of a HAMT.
func (n *Node) hamtLinks(ctx context.Context, from Blocks) (all []Link, err error) {
	err = n.hamtRoot().walk(ctx, from, &all)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", n.CID, err)
	}
	return all, nil
}

// walk adds the entries below a part. It goes at most as deep as a hash is long.
func (p hamtPart) walk(ctx context.Context, from Blocks, all *[]Link) error {
	if err := p.deepEnough(); err != nil {
		return err
	}

	var cids []cid.Cid
	var places []uint64

	for _, link := range p.links {
		place, name, err := p.place(link)
		if err != nil {
			return err
		}

		if name == "" {
			cids, places = append(cids, link.CID), append(places, place)
			continue
		}

		// A name that is not where its hash belongs could not be looked up.
		if err := p.holds(place, name); err != nil {
			return err
		}

		*all = append(*all, Link{name, link.CID, link.Size})
	}

	// Only some nodes are read at a time, which bounds the memory of each level.
	for first := 0; first < len(cids); first += fetchedAtOnce {
		last := min(first+fetchedAtOnce, len(cids))
		nodes, err := readNodes(ctx, from, cids[first:last])
		if err != nil {
			return err
		}

		for i, node := range nodes {
			part, err := p.below(places[first+i], node)
			if err == nil {
				err = part.walk(ctx, from, all)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// hamtLink looks up an entry, part by part.
func (n *Node) hamtLink(ctx context.Context, from Blocks, name string) (Link, error) {
	hash := murmur3.Sum64([]byte(name))

	for part := n.hamtRoot(); ; {
		if err := part.deepEnough(); err != nil {
			return Link{}, fmt.Errorf("directory %s: %w", n.CID, err)
		}

		// The next bits of the hash select the place.
		place := hash >> (64 - part.depth - part.width()) & uint64(part.fanout-1)

		link, further, err := part.find(place, name)
		if err == nil && !further {
			return link, nil
		}

		if err != nil {
			return Link{}, fmt.Errorf("directory %s: %w", n.CID, err)
		}

		node, err := Read(ctx, from, link.CID)
		if err == nil {
			part, err = part.below(place, node)
		}

		if err != nil {
			return Link{}, err
		}
	}
}

// find returns the link to an entry, or to the part that would contain the entry.
func (p hamtPart) find(place uint64, name string) (link Link, further bool, err error) {
	for _, link := range p.links {
		at, found, err := p.place(link)
		if err != nil {
			return link, false, err
		}
		if at == place && (found == name || found == "") {
			return Link{found, link.CID, link.Size}, found == "", nil
		}
	}
	return link, false, fmt.Errorf("%w: %q", ErrNoEntry, name)
}
