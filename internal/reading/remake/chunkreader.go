package remake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// chunkPlace is a place of a chunk in the source.
type chunkPlace struct {
	path   sqlrepo.Path
	offset int64
}

// chunkReader holds the places of a data shard's chunks, by digest. The same content may be in several places.
type chunkReader struct {
	root   SourceRoot
	places map[sqlrepo.Digest][]chunkPlace
}

// chunks finds the places of all chunks that were planned for a shard.
func (r *Remaker) chunks(ctx context.Context, shard sqlrepo.Shard) (*chunkReader, error) {
	upload, err := r.repo.Upload(ctx, shard.Upload)
	if err != nil {
		return nil, err
	}

	root, err := r.locate(ctx, upload.Source)
	if err != nil {
		return nil, err
	}

	digests, err := r.repo.ShardDigests(ctx, shard.ID)
	if err != nil {
		return nil, err
	}

	c := &chunkReader{root: root, places: make(map[sqlrepo.Digest][]chunkPlace, shard.Nodes)}
	for segment, err := range r.repo.ShardSegments(ctx, shard.ID) {
		if err != nil {
			return nil, err
		}
		c.add(segment, digests)
	}
	return c, nil
}

func (c *chunkReader) add(segment sqlrepo.PackSegment, digests []byte) {
	for i := range unixfs.Chunks(segment.Length) {
		from := (segment.Chunk + i) * sha256.Size
		if from < 0 || from+sha256.Size > int64(len(digests)) {
			// The rows are incomplete. Reading the missing blocks returns an error.
			return
		}

		digest := sqlrepo.Digest(digests[from:])
		c.places[digest] = append(c.places[digest], chunkPlace{segment.Path, segment.Offset + i*unixfs.ChunkSize})
	}
}

// block reads a chunk from the first place that still has it.
func (c *chunkReader) block(ctx context.Context, node sqlrepo.Node) ([]byte, error) {
	places := c.places[node.Digest]
	if len(places) == 0 {
		return nil, fmt.Errorf("%w: no file of the upload has it any more", ErrLost)
	}

	var failures, barred error
	for _, place := range places {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}

		block, err := c.read(place, node)
		switch {
		case err == nil:
			return block, nil
		case shortage.Bars(err):
			barred = err
		}

		failures = errors.Join(failures, err)
	}

	// The block may still be there.
	if barred != nil {
		return nil, barred
	}
	return nil, failures
}

// blameSource blames the source for an error, unless a shortage in this process is to blame.
func blameSource(err error) error {
	if shortage.Bars(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

func (c *chunkReader) read(place chunkPlace, node sqlrepo.Node) (block []byte, err error) {
	path := source.OSPath(c.root.Root, place.path)
	file, err := c.root.FS.Open(path)
	if err != nil {
		return nil, blameSource(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	block = make([]byte, node.Length)
	n, err := file.ReadAt(block, place.offset)
	// A file that ends too early counts as changed, below.
	if n < len(block) && !errors.Is(err, io.EOF) {
		return nil, blameSource(err)
	}

	if !isOf(block[:n], node) {
		return nil, fmt.Errorf("%w: %s %w (at byte %d)", ErrLost, path, ErrChanged, place.offset)
	}
	return block, nil
}
