// Package blocks reads blocks from the shards that hold them according to the repository.
//
// A Source finds a block by its digest, reads it from its shard, and returns it only if it has that digest.
// Blocks of an unfinished upload are found as soon as their shard is sealed.
package blocks

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that a Source needs.
type Repository interface {
	FindBlocks(ctx context.Context, space *int64, digests []sqlrepo.Digest) ([]sqlrepo.Place, error)
	StoredShard(ctx context.Context, id int64) (sqlrepo.Shard, error)
	Nodes(ctx context.Context, shard int64) iter.Seq2[sqlrepo.Node, error]
}

// Shards opens the bytes of shards, wherever they are kept. It returns fs.ErrNotExist for bytes that do not
// exist, and ErrUnreachable for a shard whose store is not there.
type Shards interface {
	OpenShard(ctx context.Context, shard sqlrepo.Shard) (store.Reading, error)
}

// CopiedShards are Shards that may be in several places.
type CopiedShards interface {
	Shards
	// Copies yields the bytes of a shard in other places, for a block that is damaged where OpenShard reads it. The
	// caller closes each.
	Copies(ctx context.Context, shard sqlrepo.Shard) iter.Seq[store.Reading]
	// Away returns why places that are known to have a copy of a shard can't be read now, nil if there are none.
	Away(ctx context.Context, shard sqlrepo.Shard) error
}

var (
	// ErrNotFound is returned for a block that no shard holds, as far as the repository knows.
	ErrNotFound = errors.New("block not found")
	// ErrDamaged is returned for a block that is whole in no shard although one should hold it: the file of the
	// shard is gone, too short, or holds other bytes. The error is also a *BlockError.
	ErrDamaged = errors.New("block is damaged")
	// ErrUnreachable is returned by Shards for a shard whose store can't be reached. Its blocks may be sound, and be in
	// shards of other stores.
	ErrUnreachable = errors.New("the store can't be reached")
)

// BlockError is the error of a block that could be read neither from its place nor from any other. It wraps the
// cause, and ErrDamaged unless the store may just be out of reach.
type BlockError struct {
	CID   cid.Cid
	Shard int64
	// ShardCID is the CID of the shard, "" if it is not known.
	ShardCID       string
	Offset, Length int64
	Cause          error
	// Away, if not nil, is why copies of the shard could not be read: what is damaged here may be sound there.
	Away error
}

// Reason returns the cause, and what is to be known of copies.
func (e *BlockError) Reason() string {
	if e.Away == nil {
		return e.Cause.Error()
	}
	return fmt.Sprintf("%v; %v", e.Cause, e.Away)
}

func (e *BlockError) Error() string {
	what := "block can't be read"
	switch {
	case errors.Is(e.Cause, fs.ErrNotExist):
		what = "block is missing"
	case e.damaged():
		what = ErrDamaged.Error()
	}
	return fmt.Sprintf("%s: %s: %d bytes at %d of shard %d (%s): %s", what, e.CID, e.Length, e.Offset, e.Shard, e.ShardCID,
		e.Reason())
}

// Unwrap returns the cause, and ErrDamaged if the block is damaged.
func (e *BlockError) Unwrap() []error {
	if e.damaged() {
		return []error{e.Cause, ErrDamaged}
	}
	return []error{e.Cause}
}

func (e *BlockError) damaged() bool {
	return errors.Is(e.Cause, errDigest) || errors.Is(e.Cause, errLength) || errors.Is(e.Cause, io.ErrUnexpectedEOF) ||
		errors.Is(e.Cause, fs.ErrNotExist)
}

var (
	errDigest = errors.New("the bytes have another digest")
	errLength = errors.New("no block is that long")
)

// Source reads blocks. It is safe for concurrent use. Its memory is bounded: it holds some open shards, the
// tables of some shards (about 2 MiB each), and some pages of shards that hold nodes of DAGs. Beyond that it
// remembers the keys of shards whose stores were out of reach.
type Source struct {
	repo   Repository
	shards Shards
	space  *int64

	tables  *tables
	handles *handles
	pieces  *pageCache
	buffers sync.Pool
	// unreachable holds the keys of shards whose stores could not be reached.
	unreachable sync.Map
}

// Option configures a Source.
type Option func(*Source)

// InSpace limits the source to the blocks of one space.
func InSpace(space int64) Option { return func(s *Source) { s.space = &space } }

// New returns a source of the blocks of all spaces. The caller closes it when nobody uses it any longer.
func New(repo Repository, shards Shards, options ...Option) *Source {
	s := &Source{repo: repo, shards: shards, tables: newTables(repo), handles: newHandles(), pieces: newPageCache()}
	s.buffers.New = func() any { b := make([]byte, runBytes); return &b }
	for _, option := range options {
		option(s)
	}
	return s
}

// Close closes the open shards.
func (s *Source) Close() error { return s.handles.close() }

// Get returns the bytes of a block, which belong to the caller. It returns ErrNotFound for a block that no shard
// holds, and a *BlockError for a block that can't be read.
func (s *Source) Get(ctx context.Context, c cid.Cid) (data []byte, err error) {
	err = s.Fetch(ctx, []cid.Cid{c}, func(_ int, block []byte) error {
		data = append(make([]byte, 0, len(block)), block...)
		return nil
	})
	return data, err
}

// Has reports whether a shard holds the block, as far as the repository knows. It does not read the shard.
func (s *Source) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.Size(ctx, c)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Size returns the length of a block, as far as the repository knows, or ErrNotFound.
func (s *Source) Size(ctx context.Context, c cid.Cid) (int64, error) {
	if data, ok := inline(c); ok {
		return int64(len(data)), nil
	}

	places, err := s.Find(ctx, []cid.Cid{c})
	if err != nil {
		return 0, err
	}

	if places[0].Shard == 0 {
		return 0, fmt.Errorf("%w: %s", ErrNotFound, c)
	}
	return int64(places[0].Length), nil
}

// Find returns a place of each block without reading any. The place has no shard if the block is not found, or if
// its CID contains its bytes.
func (s *Source) Find(ctx context.Context, cids []cid.Cid) ([]sqlrepo.Place, error) {
	places := make([]sqlrepo.Place, len(cids))
	missing := map[sqlrepo.Digest][]int{}
	var digests []sqlrepo.Digest

	for i, c := range cids {
		digest, ok := digestOf(c)
		if !ok {
			continue
		}

		if s.tables.find(digest, &places[i]) {
			continue
		}

		if missing[digest] == nil {
			digests = append(digests, digest)
		}
		missing[digest] = append(missing[digest], i)
	}

	if len(digests) == 0 {
		return places, nil
	}

	found, err := s.repo.FindBlocks(ctx, s.space, digests)
	for _, place := range found {
		for _, i := range missing[place.Digest] {
			// A place in a store out of reach is only taken if there is no better one.
			if places[i].Shard == 0 || !s.isUnreachable(place) {
				places[i] = place
			}
		}
	}

	found = slices.DeleteFunc(found, s.isUnreachable)
	if err == nil {
		err = s.tables.hit(ctx, found)
	}
	return places, err
}

// isUnreachable reports whether the store of a place could not be reached when it was last tried.
func (s *Source) isUnreachable(place sqlrepo.Place) bool {
	_, unreachable := s.unreachable.Load(place.Shard)
	return unreachable
}

// digestOf returns the digest by which a block is found. CIDs with other hash functions than sha2-256 have none.
func digestOf(c cid.Cid) (digest sqlrepo.Digest, ok bool) {
	hash := c.Hash()
	if len(hash) != 2+sha256.Size || hash[0] != multihash.SHA2_256 || hash[1] != sha256.Size {
		return digest, false
	}
	return sqlrepo.Digest(hash[2:]), true
}

// inline returns the block that a CID itself contains.
func inline(c cid.Cid) (data []byte, ok bool) {
	if !c.Defined() || c.Prefix().MhType != multihash.IDENTITY {
		return nil, false
	}
	decoded, err := multihash.Decode(c.Hash())
	if err != nil {
		return nil, false
	}
	return decoded.Digest, true
}
