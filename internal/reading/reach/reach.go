// Package reach finds the blocks of an upload from its rows alone. It builds the upload's DAG as linking does,
// and keeps nothing of it.
package reach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that walking a DAG needs.
type Repository interface {
	Contents(ctx context.Context, upload int64, states ...sqlrepo.EntryState) iter.Seq2[sqlrepo.Linkable, error]
	link.Digests
}

// Block is a block that an upload needs.
type Block struct {
	Digest sqlrepo.Digest
	// Codec is the codec of the block's CID: cid.Raw for chunks of files, cid.DagProtobuf for the nodes above
	// them.
	Codec  uint8
	Length int64
	// Entry is the entry whose DAG contains the block.
	Entry int64
	// Owner is the file that the chunk was packed for: Entry, or its origin in an earlier upload. It is 0 for nodes.
	Owner int64
}

// CID returns the CID of the block.
func (b Block) CID() cid.Cid {
	if b.Codec == cid.Raw {
		return unixfs.RawCID(b.Digest)
	}
	return unixfs.NodeCID(b.Digest)
}

// BatchBlocks is the largest number of blocks in a batch.
const BatchBlocks = 10_000

// Walker walks the blocks of uploads.
type Walker struct {
	Repo Repository
	// TempDir is the directory in which the entries of very large directories are sorted.
	TempDir string
	// Rooted, if not nil, is called with the root of each entry's DAG in a linked upload.
	Rooted func(entry sqlrepo.Linkable, root unixfs.Link) error
	// Found, if not nil, is called for each block, before the batch that it comes in.
	Found func()
}

// Walk calls visit with all blocks that an upload needs, in batches that visit must not keep. The order depends
// on the rows of the upload alone. A block may come more than once, and the space need not hold it. Walk returns
// the root of the DAG.
//
// For an upload that is not linked, Walk visits the packed chunks as far as the rows know them, including those
// of Unreachable entries, and returns no root: linking will make the nodes above the chunks. Walk returns
// link.ErrInconsistent if the rows of a linked upload contradict each other, link.ErrNoRoot if they have no root,
// and any error of visit.
func (w Walker) Walk(ctx context.Context, upload sqlrepo.Upload,
	visit func(batch []Block) error) (root cid.Cid, err error) {
	out := &collector{visit: visit, rooted: w.Rooted, found: w.Found}

	if !upload.Rooted() {
		if err := w.leaves(ctx, upload, out); err != nil {
			return cid.Undef, err
		}
		return cid.Undef, out.flush()
	}

	root, err = w.dag(ctx, upload, out)
	if err != nil {
		return cid.Undef, err
	}

	return root, out.flush()
}

func (w Walker) dag(ctx context.Context, upload sqlrepo.Upload, out *collector) (cid.Cid, error) {
	profile, err := unixfs.ParseProfile(upload.Profile)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", link.ErrInconsistent, err)
	}

	builder := link.NewBuilder(profile, w.TempDir, w.Repo, out)
	defer builder.Discard()

	for entry, err := range w.Repo.Contents(ctx, upload.ID, sqlrepo.Ready, sqlrepo.Rescanned) {
		if err != nil {
			return cid.Undef, err
		}
		if err := builder.Add(ctx, entry); err != nil {
			return cid.Undef, err
		}
	}

	root, _, err := builder.Finish()
	return root.CID, err
}

// leaves visits the packed chunks of an unfinished upload.
func (w Walker) leaves(ctx context.Context, upload sqlrepo.Upload, out *collector) error {
	digests := link.NewDigestCache(w.Repo)
	entries := w.Repo.Contents(ctx, upload.ID, sqlrepo.Ready, sqlrepo.Rescanned, sqlrepo.Unreachable)

	for entry, err := range entries {
		if err != nil {
			return err
		}

		for i, segment := range entry.Segments {
			packed, err := digests.Packed(ctx, entry.Segments, i)
			if err != nil {
				return err
			}

			if err := out.Leaves(entry, segment, packed); err != nil {
				return err
			}
		}
	}
	return nil
}

// collector puts the blocks of a DAG into batches.
type collector struct {
	visit  func(batch []Block) error
	rooted func(sqlrepo.Linkable, unixfs.Link) error
	found  func()
	batch  []Block
}

var notPacked [sha256.Size]byte

// Leaves adds the chunks of a segment. A digest of zeros stands for a chunk that was not packed.
func (c *collector) Leaves(file sqlrepo.Linkable, segment sqlrepo.Segment, digests []byte) error {
	for offset := segment.Offset; len(digests) > 0; digests = digests[sha256.Size:] {
		digest := digests[:sha256.Size]
		length := min(unixfs.ChunkSize, segment.Offset+segment.Length-offset)
		offset += unixfs.ChunkSize
		if bytes.Equal(digest, notPacked[:]) {
			continue
		}

		block := Block{Digest: sqlrepo.Digest(digest), Codec: cid.Raw, Length: length, Entry: file.ID, Owner: segment.Entry}
		if err := c.add(block); err != nil {
			return err
		}
	}
	return nil
}

// Node adds a block above the chunks.
func (c *collector) Node(entry sqlrepo.Linkable, node unixfs.Block) error {
	digest := sqlrepo.Digest(node.CID.Hash()[2:])
	return c.add(Block{Digest: digest, Codec: cid.DagProtobuf, Length: int64(len(node.Data)), Entry: entry.ID})
}

// Root passes on the root of an entry's DAG.
func (c *collector) Root(entry sqlrepo.Linkable, root unixfs.Link) error {
	if c.rooted == nil {
		return nil
	}
	return c.rooted(entry, root)
}

func (c *collector) add(block Block) error {
	if c.found != nil {
		c.found()
	}
	if c.batch = append(c.batch, block); len(c.batch) < BatchBlocks {
		return nil
	}
	return c.flush()
}

func (c *collector) flush() error {
	if len(c.batch) == 0 {
		return nil
	}
	err := c.visit(c.batch)
	c.batch = c.batch[:0]
	return err
}
