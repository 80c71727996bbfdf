package blocks

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// runBytes is the most that is read of a shard at once, unless one block is longer.
	runBytes = 1<<20 + 64<<10
	// runGap is the largest gap between two blocks that is read and discarded rather than skipped. There always is
	// a gap, for a length and a CID.
	runGap = 4 << 10
)

// Fetch calls use for each block, in their order, with the index of the block. The bytes are valid until use
// returns. Fetch looks up all blocks at once and reads blocks that are adjacent in a shard together. It reads
// nothing but these blocks and the gaps between them. It ends with the first error: ErrNotFound, a *BlockError,
// or an error of use.
func (s *Source) Fetch(ctx context.Context, cids []cid.Cid, use func(i int, data []byte) error) error {
	places, err := s.Find(ctx, cids)
	if err != nil {
		return err
	}

	f := fetch{Source: s, cids: cids, places: places, use: use}
	for i := 0; i < len(cids); {
		n := runLength(places[i:])
		if err := f.run(ctx, i, n); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// fetch is one call of Fetch.
type fetch struct {
	*Source
	cids   []cid.Cid
	places []sqlrepo.Place
	use    func(i int, data []byte) error
}

// runLength returns the number of blocks that are read together, at least one.
func runLength(places []sqlrepo.Place) int {
	first, n := places[0], 1
	for end := endOf(first); n < len(places); n++ {
		next := places[n]
		start := int64(next.Position)

		if next.Shard != first.Shard || next.Shard == 0 || start < end || start-end > runGap ||
			endOf(next)-int64(first.Position) > runBytes {
			break
		}
		end = endOf(next)
	}
	return n
}

func endOf(place sqlrepo.Place) int64 { return int64(place.Position) + int64(place.Length) }

// run reads blocks that are adjacent in a shard.
func (f *fetch) run(ctx context.Context, first, n int) error {
	if f.places[first].Shard == 0 {
		return f.placeless(f.cids[first], first)
	}

	start, last := f.places[first].Position, f.places[first+n-1]
	length := int(endOf(last) - int64(start))

	// Only a damaged row has such a length. Don't allocate it.
	if length > runBytes && length > car.MaxDataSize {
		return f.elsewhere(ctx, first, last, errLength)
	}

	pooled := f.buffers.Get().(*[]byte)
	defer f.buffers.Put(pooled)

	if len(*pooled) < length {
		*pooled = make([]byte, length)
	}

	buffer := (*pooled)[:length]

	got, err := f.read(ctx, last.Shard, int64(start), buffer)
	if isFinal(ctx, err) {
		return err
	}

	// A bad block is looked for elsewhere, while the others of the run may be good.
	for i := first; i < first+n; i++ {
		place := f.places[i]
		from := int(place.Position - start)
		to := from + int(place.Length)
		if to > got || sha256.Sum256(buffer[from:to]) != place.Digest {
			if err := f.elsewhere(ctx, i, place, err); err != nil {
				return err
			}
			continue
		}

		if err := f.use(i, buffer[from:to]); err != nil {
			return err
		}
	}
	return nil
}

// placeless gets a block that is in no shard. The block may be in its CID.
func (f *fetch) placeless(c cid.Cid, i int) error {
	if data, ok := inline(c); ok {
		return f.use(i, data)
	}
	return fmt.Errorf("%w: %s", ErrNotFound, c)
}

// elsewhere gets a block that is not at its place. It may be at another place, or at the same place if the shard
// has been stored again.
func (f *fetch) elsewhere(ctx context.Context, i int, bad sqlrepo.Place, cause error) error {
	f.forget(bad.Shard)
	places, err := f.repo.FindBlocks(ctx, f.space, []sqlrepo.Digest{bad.Digest})
	if err != nil {
		return err
	}

	failed := f.failure(ctx, f.cids[i], bad, cause)

	for _, place := range places {
		if place.Length > car.MaxDataSize {
			continue
		}

		buffer := make([]byte, place.Length)
		n, err := f.read(ctx, place.Shard, int64(place.Position), buffer)
		if n == len(buffer) && sha256.Sum256(buffer) == place.Digest {
			return f.use(i, buffer)
		}

		if isFinal(ctx, err) {
			return err
		}

		f.forget(place.Shard)
		failed = f.failure(ctx, f.cids[i], place, err)
	}

	// The shard of the block has been removed since.
	if len(places) == 0 {
		return fmt.Errorf("%w: %s", ErrNotFound, f.cids[i])
	}

	for _, place := range places {
		if block := f.copied(ctx, place); block != nil {
			return f.use(i, block)
		}
	}
	return f.withAway(ctx, failed)
}

// withAway adds to the error of a block that copies of its shard could not be read.
func (s *Source) withAway(ctx context.Context, err error) error {
	shards, copied := s.shards.(CopiedShards)
	var failed *BlockError
	if !copied || !errors.As(err, &failed) {
		return err
	}
	if shard, unknown := s.repo.StoredShard(ctx, failed.Shard); unknown == nil {
		failed.Away = shards.Away(ctx, shard)
	}
	return err
}

// copied returns a block from a copy of its shard in another store, or nil if there is no good one.
func (f *fetch) copied(ctx context.Context, place sqlrepo.Place) []byte {
	shards, copied := f.shards.(CopiedShards)
	if !copied || place.Length > car.MaxDataSize {
		return nil
	}
	shard, err := f.repo.StoredShard(ctx, place.Shard)
	if err != nil {
		return nil
	}

	block := make([]byte, place.Length)
	for reading := range shards.Copies(ctx, shard) {
		n, _ := reading.ReadAt(ctx, block, int64(place.Position)) // the digest decides
		_ = reading.Close()                                       // nothing was written
		if n == len(block) && sha256.Sum256(block) == place.Digest {
			return block
		}
	}
	return nil
}

// forget drops everything that is known of a shard, because its file may have been replaced, or removed with its
// rows.
func (s *Source) forget(shard int64) {
	s.tables.forget(shard)
	s.pieces.forget(shard)
	s.handles.forget(shard)
}

func (s *Source) failure(ctx context.Context, c cid.Cid, place sqlrepo.Place, cause error) error {
	if errors.Is(cause, ErrUnreachable) {
		return fmt.Errorf("block %s: %w", c, cause)
	}
	if cause == nil {
		cause = errDigest
	}
	failed := &BlockError{
		CID: c, Shard: place.Shard, Offset: int64(place.Position), Length: int64(place.Length), Cause: cause,
	}
	if shard, err := s.repo.StoredShard(ctx, place.Shard); err == nil && len(shard.Digest) == sha256.Size {
		failed.ShardCID = car.ShardCID([sha256.Size]byte(shard.Digest)).String()
	}
	return failed
}

// repositoryError is an error of the database. It says nothing about a block.
type repositoryError struct{ error }

func (e repositoryError) Unwrap() error { return e.error }

// isFinal reports whether an error says nothing about a block, so that another place would not help.
func isFinal(ctx context.Context, err error) bool {
	var unknown repositoryError
	return err != nil && ctx.Err() != nil || errors.As(err, &unknown) ||
		!errors.Is(err, ErrUnreachable) && (errors.Is(err, store.ErrUnusable) || shortage.Bars(err))
}

// read reads bytes of a shard and returns how many there are. If they are fewer than asked for it also returns an
// error.
func (s *Source) read(ctx context.Context, shard, offset int64, into []byte) (n int, err error) {
	err = s.handles.use(ctx, shard, s.opener(ctx, shard), func(h *handle) error {
		// Nodes of DAGs are small, and their neighbours will be wanted next.
		if h.shard.Kind == sqlrepo.DAGShard && len(into) <= pageBytes {
			n, err = s.pieces.read(ctx, h, offset, into)
		} else {
			n, err = h.reading.ReadAt(ctx, into, offset)
		}
		return err
	})

	switch {
	case n == len(into):
		return n, nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the shard ends at %d: %w", offset+int64(n), io.ErrUnexpectedEOF)
	case err == nil:
		err = io.ErrUnexpectedEOF
	}

	return n, err
}

func (s *Source) opener(ctx context.Context, id int64) func() (*handle, error) {
	return func() (*handle, error) {
		shard, err := s.repo.StoredShard(ctx, id)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
		}
		if err != nil {
			return nil, repositoryError{err}
		}

		reading, err := s.shards.OpenShard(ctx, shard)
		// From now on, other places of the same blocks come first.
		if errors.Is(err, ErrUnreachable) {
			s.unreachable.Store(id, nil)
		} else {
			s.unreachable.Delete(id)
		}

		return &handle{shard: shard, reading: reading}, err
	}
}
