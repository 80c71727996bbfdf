// Package treetest makes DAGs in memory for tests: good ones, and such as nobody should make.
package treetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Store has blocks in memory. It counts how often each was fetched.
type Store struct {
	mu      sync.Mutex
	blocks  map[cid.Cid][]byte
	Fetched map[cid.Cid]int
}

// New returns an empty store.
func New() *Store { return &Store{blocks: map[cid.Cid][]byte{}, Fetched: map[cid.Cid]int{}} }

// Put adds a block.
func (s *Store) Put(codec uint64, data []byte) cid.Cid {
	c, err := cid.V1Builder{Codec: codec, MhType: multihash.SHA2_256}.Sum(data)
	if err != nil {
		panic(err) // there is such a hash function
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks[c] = slices.Clone(data)
	return c
}

// Remove removes a block.
func (s *Store) Remove(c cid.Cid) { delete(s.blocks, c) }

// All are the CIDs of all blocks.
func (s *Store) All() []cid.Cid { return slices.Collect(maps.Keys(s.blocks)) }

// Fetch implements tree.Blocks.
func (s *Store) Fetch(ctx context.Context, cids []cid.Cid, use func(i int, data []byte) error) error {
	for i, c := range cids {
		data, err := s.get(ctx, c)
		if err == nil {
			err = use(i, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) get(ctx context.Context, c cid.Cid) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fetched[c]++
	if data, ok := s.blocks[c]; ok || ctx.Err() != nil {
		return data, ctx.Err()
	}
	return nil, fmt.Errorf("%w: %s", blocks.ErrNotFound, c)
}

// Present implements verify.Blocks.
func (s *Store) Present(_ context.Context, cids []cid.Cid,
	use func(i int, place sqlrepo.Place, err error) error) error {
	for i, c := range cids {
		s.mu.Lock()
		data, ok := s.blocks[c]
		s.mu.Unlock()
		place, err := sqlrepo.Place{Shard: 1, Node: sqlrepo.Node{Length: int32(len(data))}}, error(nil)
		if !ok {
			err = fmt.Errorf("%w: %s", blocks.ErrNotFound, c)
		}
		if err := use(i, place, err); err != nil {
			return err
		}
	}
	return nil
}

// The types of UnixFS nodes.
const (
	TypeRaw       = 0
	TypeDirectory = 1
	TypeFile      = 2
	TypeMetadata  = 3
	TypeSymlink   = 4
	TypeHAMT      = 5
)

// UnixFS is the data of a node. Fields that are nil are left out.
type UnixFS struct {
	Type     uint64
	Data     []byte
	FileSize *uint64
	Sizes    []uint64
	HashType *uint64
	Fanout   *uint64
}

// Number is a value for a field.
func Number(n uint64) *uint64 { return &n }

func (u UnixFS) encode() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), u.Type)
	if u.Data != nil {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), u.Data)
	}
	number := func(field protowire.Number, n *uint64) {
		if n != nil {
			b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), *n)
		}
	}
	number(3, u.FileSize)
	for _, size := range u.Sizes {
		number(4, &size)
	}
	number(5, u.HashType)
	number(6, u.Fanout)
	return b
}

// Node adds a dag-pb node, with the links in the order in which they are given.
func (s *Store) Node(data UnixFS, links ...tree.Link) cid.Cid {
	var b []byte
	for _, l := range links {
		link := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), l.CID.Bytes())
		link = protowire.AppendString(protowire.AppendTag(link, 2, protowire.BytesType), l.Name)
		link = protowire.AppendVarint(protowire.AppendTag(link, 3, protowire.VarintType), l.Size)
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), link)
	}
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), data.encode())
	return s.Put(cid.DagProtobuf, b)
}

// Raw adds a raw block, and returns a link to it.
func (s *Store) Raw(name, content string) tree.Link {
	return tree.Link{Name: name, CID: s.Put(cid.Raw, []byte(content)), Size: uint64(len(content))}
}

// Symlink adds a symlink, and returns a link to it.
func (s *Store) Symlink(name, target string) tree.Link {
	return s.linkTo(name, s.Node(UnixFS{Type: TypeSymlink, Data: []byte(target)}))
}

// Directory adds a directory of one block, and returns a link to it.
func (s *Store) Directory(name string, entries ...tree.Link) tree.Link {
	return s.linkTo(name, s.Node(UnixFS{Type: TypeDirectory}, entries...), entries...)
}

// File adds a file whose parts are raw blocks, and returns a link to it.
func (s *Store) File(name string, parts ...string) tree.Link {
	var links []tree.Link
	data := UnixFS{Type: TypeFile, FileSize: Number(0)}
	for _, part := range parts {
		links = append(links, s.Raw("", part))
		data.Sizes = append(data.Sizes, uint64(len(part)))
		*data.FileSize += uint64(len(part))
	}
	return s.linkTo(name, s.Node(data, links...), links...)
}

// linkTo is a link to a node above others.
func (s *Store) linkTo(name string, c cid.Cid, below ...tree.Link) tree.Link {
	link := tree.Link{Name: name, CID: c, Size: uint64(len(s.blocks[c]))}
	for _, l := range below {
		link.Size += l.Size
	}
	return link
}
