// Package verify reads DAGs and reports all blocks that are missing, damaged, or not part of a well-formed tree.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/remake"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Blocks finds and reads blocks.
type Blocks interface {
	tree.Blocks
	Present(ctx context.Context, cids []cid.Cid, use func(i int, place sqlrepo.Place, err error) error) error
}

// Verifier verifies DAGs.
type Verifier struct {
	Blocks Blocks
	// Deep is true to read the chunks of files, rather than only look for them.
	Deep    bool
	Workers int
	// Progress may be nil.
	Progress *progress.Task
	// Found, if not nil, is called for each problem, one at a time. An error of Found ends the walk.
	Found func(Problem) error
}

// The kinds of problem.
const (
	Missing   = "missing"   // no shard has it, or its shard is gone
	Damaged   = "damaged"   // its shard is too short, or holds other bytes
	Changed   = "changed"   // no store keeps it, and the source has something else by now
	Unread    = "unread"    // its shard can't be read now
	Malformed = "malformed" // the block matches its CID but is not part of a well-formed tree
)

// Problem is a block that is missing or wrong.
type Problem struct {
	What     string `json:"code"`                // kind: missing, damaged, changed, unread or malformed
	CID      string `json:"cid"`                 // CID of the block
	Path     string `json:"path"`                // one way to the block, from the beginning of the walk
	Shard    int64  `json:"shard_id,omitempty"`  // key of the shard that should have the block
	ShardCID string `json:"shard_cid,omitempty"` // CID of that shard
	Offset   int64  `json:"offset,omitempty"`    // where the block begins in the shard
	Detail   string `json:"reason"`              // what is wrong
}

// Summary counts distinct blocks. Nodes counts the blocks above the chunks of files, all of which were read.
type Summary struct {
	Blocks   int64 `json:"block_count"`   // number of distinct blocks
	Nodes    int64 `json:"node_count"`    // number of those above the chunks of files
	Bytes    int64 `json:"bytes"`         // size of the blocks
	Problems int64 `json:"problem_count"` // number of problems
}

// Run walks the DAG of a root. It visits each distinct block once, and none below a bad block. It needs about 80
// bytes of memory for each block. It returns an error if it can't go on. Bad blocks are not errors.
func (v *Verifier) Run(ctx context.Context, root cid.Cid, path string) (Summary, error) {
	v.Progress.Begin("verifying", "block")
	r := &run{Verifier: v, seen: map[sqlrepo.Digest]claims{}, leaves: make(chan []leaf, max(1, v.Workers))}

	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error {
		defer close(r.leaves)
		err := r.block(ctx, tree.Below{Link: tree.Link{CID: root}}, []string{path}, 0)
		if err != nil {
			return err
		}
		return r.flush(ctx)
	})

	for range max(1, v.Workers) {
		group.Go(func() error {
			for batch := range r.leaves {
				if err := r.look(ctx, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}

	err := group.Wait()
	if err == nil && r.sum.Problems > 0 {
		v.Progress.Settle() // links may claim what is not there
	}
	return r.sum, err
}

// claims holds the lengths that links claim for a block.
type claims struct{ size, content uint64 }

// leaf is a raw block.
type leaf struct {
	below tree.Below
	path  string
	// first is true for the root, for which no link claims anything.
	first bool
}

type run struct {
	*Verifier
	seen   map[sqlrepo.Digest]claims
	batch  []leaf
	bytes  uint64
	leaves chan []leaf

	mu  sync.Mutex
	sum Summary
}

// expect counts bytes that are part of the DAG, as its root claims.
func (r *run) expect(bytes uint64) { r.Progress.Expect(0, int64(min(bytes, tree.MostBytes))) }

// pass counts bytes that need no further look: they were looked at, or can't be.
func (r *run) pass(blocks int64, bytes uint64) {
	r.Progress.Add(blocks, int64(min(bytes, tree.MostBytes)))
}

// isNew reports whether a block was not seen before. A block that was seen is malformed if links to it claim
// different lengths.
func (r *run) isNew(below tree.Below, names []string) (bool, error) {
	now := claims{below.Size, below.Content}
	before, seen := r.seen[key(below.CID)]
	if !seen {
		r.seen[key(below.CID)] = now
		return true, nil
	}

	if before.size == now.size && (before.content == now.content || before.content == 0 || now.content == 0) {
		return false, nil
	}
	return false, r.malformed(below.CID, names, errors.New("links to it claim different lengths"))
}

// key returns a key that identifies a block.
func key(c cid.Cid) sqlrepo.Digest {
	var digest sqlrepo.Digest
	hash := c.Hash()
	copy(digest[:], hash[max(0, len(hash)-len(digest)):])
	return digest
}

// block verifies a block and all blocks below it. depth counts the links that lead to the block.
func (r *run) block(ctx context.Context, below tree.Below, names []string, depth int) error {
	first := depth == 0
	isNew, err := r.isNew(below, names)
	if err != nil || !isNew {
		r.pass(0, below.Size)
		return err
	}

	if below.CID.Type() == cid.Raw {
		return r.leaf(ctx, leaf{below, strings.Join(names, "/"), first})
	}

	if len(names) > tree.MaxDepth {
		r.pass(0, below.Size)
		return r.malformed(below.CID, names, fmt.Errorf("it is more than %d levels deep", tree.MaxDepth))
	}
	if depth > tree.MaxLinks {
		r.pass(0, below.Size)
		return r.malformed(below.CID, names, fmt.Errorf("more than %d links lead to it", tree.MaxLinks))
	}

	var node *tree.Node
	var length uint64
	err = r.Blocks.Fetch(ctx, []cid.Cid{below.CID}, func(_ int, block []byte) (err error) {
		length = uint64(len(block))
		node, err = tree.Decode(below.CID, block)
		return err
	})

	if err != nil {
		r.pass(0, below.Size)
		return r.bad(ctx, below.CID, names, err)
	}

	r.count(true, int64(length))
	r.pass(1, length)

	// No link leads to the root that could make a claim.
	links, err := node.Below()
	if first {
		r.expect(length)
		for _, link := range links {
			r.expect(link.Size)
		}
	}
	if err == nil && !first {
		err = agrees(below, node, length, links)
	}

	if err != nil {
		if err := r.malformed(below.CID, names, err); err != nil {
			return err
		}
	}
	return r.below(ctx, links, names, depth+1)
}

func (r *run) below(ctx context.Context, links []tree.Below, names []string, depth int) error {
	for _, link := range links {
		inside := names
		if link.IsEntry {
			inside = append(slices.Clip(names), link.Name)
		}
		if err := r.block(ctx, link, inside, depth); err != nil {
			return err
		}
	}
	return nil
}

// agrees returns an error unless the claims of a link match its node.
func agrees(below tree.Below, node *tree.Node, length uint64, links []tree.Below) error {
	size := length
	for _, link := range links {
		size += link.Size
	}

	switch {
	case below.Size != size:
		return fmt.Errorf("a link to it claims %d bytes of blocks, but there are %d", below.Size, size)
	case below.IsPart && node.Kind != tree.File:
		return fmt.Errorf("it is a %s, but part of a file", node.Kind)
	case below.IsPart && below.Content != node.Size:
		return fmt.Errorf("the file above claims that it has %d bytes, but it has %d", below.Content, node.Size)
	}
	return nil
}

const (
	leavesAtOnce = 512
	bytesAtOnce  = 4 << 20
)

// leaf lets raw blocks wait for each other, because many are read together.
func (r *run) leaf(ctx context.Context, l leaf) error {
	r.batch, r.bytes = append(r.batch, l), r.bytes+l.below.Size
	if len(r.batch) < leavesAtOnce && r.bytes < bytesAtOnce {
		return nil
	}
	return r.flush(ctx)
}

func (r *run) flush(ctx context.Context) error {
	full := r.batch
	r.batch, r.bytes = nil, 0
	select {
	case r.leaves <- full:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// look looks for raw blocks, and reads them if Deep is true.
func (r *run) look(ctx context.Context, batch []leaf) error {
	cids := make([]cid.Cid, len(batch))
	for i, l := range batch {
		cids[i] = l.below.CID
	}

	if !r.Deep {
		return r.Blocks.Present(ctx, cids, func(i int, place sqlrepo.Place, err error) error {
			if err != nil {
				r.pass(0, batch[i].below.Size)
				return r.bad(ctx, cids[i], []string{batch[i].path}, err)
			}
			return r.length(batch[i], uint64(place.Length))
		})
	}

	for len(batch) > 0 {
		done, telling := 0, false

		err := r.Blocks.Fetch(ctx, cids, func(i int, block []byte) error {
			telling = true
			err := r.length(batch[i], uint64(len(block)))
			if err == nil {
				done, telling = i+1, false
			}
			return err
		})

		// An error of reporting a problem says nothing about a block.
		if err == nil || telling {
			return err
		}

		r.pass(0, batch[done].below.Size)
		if err := r.bad(ctx, cids[done], []string{batch[done].path}, err); err != nil {
			return err
		}

		batch, cids = batch[done+1:], cids[done+1:]
	}
	return nil
}

// length counts a raw block and compares its length with the claims of links.
func (r *run) length(l leaf, length uint64) error {
	r.count(false, int64(length))
	if l.first {
		r.expect(length)
	}
	r.pass(1, length)

	var err error
	switch {
	// No link claims anything of the root.
	case l.first:
	case l.below.Size != length:
		err = fmt.Errorf("a link to it claims %d bytes, but it has %d", l.below.Size, length)
	case l.below.IsPart && l.below.Content != length:
		err = fmt.Errorf("the file above claims that it has %d bytes, but it has %d", l.below.Content, length)
	}

	if err == nil {
		return nil
	}
	return r.malformed(l.below.CID, []string{l.path}, err)
}

func (r *run) count(node bool, length int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Blocks++
	r.sum.Bytes += length
	if node {
		r.sum.Nodes++
	}
}

// bad reports a block that can't be read. It returns errors that say nothing about a block.
func (r *run) bad(ctx context.Context, c cid.Cid, names []string, err error) error {
	p := Problem{CID: c.String(), Path: strings.Join(names, "/"), Detail: err.Error()}
	var failed *blocks.BlockError

	switch {
	case ctx.Err() != nil:
		return err
	case errors.As(err, &failed):
		p.Shard, p.ShardCID, p.Offset = failed.Shard, failed.ShardCID, failed.Offset
		p.What, p.Detail = kindOf(failed)
		if failed.Away != nil {
			p.Detail += "; " + failed.Away.Error()
		}
	case errors.Is(err, blocks.ErrNotFound):
		p.What, p.Detail = Missing, "no shard has it"
	case errors.Is(err, tree.ErrMalformed), errors.Is(err, tree.ErrUnsupported):
		p.What = Malformed
	default:
		return err
	}

	return r.emit(p)
}

// kindOf returns the kind of problem that a block has which could not be read, and what is wrong.
func kindOf(failed *blocks.BlockError) (kind, detail string) {
	gone := errors.Is(failed.Cause, fs.ErrNotExist)
	switch {
	case errors.Is(failed.Cause, remake.ErrChanged):
		return Changed, "no store keeps it, and the source has changed"
	case gone && errors.Is(failed.Cause, remake.ErrLost):
		return Missing, "no store keeps it, and the source has lost it"
	case gone:
		return Missing, "the file of its shard is gone"
	case errors.Is(failed, blocks.ErrDamaged):
		return Damaged, failed.Cause.Error()
	}
	return Unread, failed.Cause.Error()
}

func (r *run) malformed(c cid.Cid, names []string, err error) error {
	return r.emit(Problem{What: Malformed, CID: c.String(), Path: strings.Join(names, "/"), Detail: err.Error()})
}

func (r *run) emit(p Problem) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Problems++
	if r.Found == nil {
		return nil
	}
	return r.Found(p)
}
