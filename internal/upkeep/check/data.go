package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/formats/piece"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// contents describes the bytes of a shard's file.
type contents struct {
	size   int64
	digest [sha256.Size]byte
	nodes  []sqlrepo.Node
	// piece is the root of the piece CID, nil unless it was asked for.
	piece []byte
	// broken says why the file is not a shard, nil if it is one.
	broken error
}

// readShard reads a file to its end, whatever it holds. With pieces, it computes the root of the piece CID too,
// which takes most of the time.
func readShard(ctx context.Context, files opener, name string, pieces bool,
	part *progress.Part) (found contents, err error) {
	file, err := files.Open(ctx, name)
	if err != nil {
		return found, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	hash, root := sha256.New(), &piece.Hash{}
	defer root.Close()

	hashes := io.Writer(hash)
	if pieces {
		hashes = io.MultiWriter(hash, root)
	}
	source := &counted{ctx: ctx, from: file, n: &found.size, part: part}
	in := io.TeeReader(source, hashes)

	reader := car.NewReader(in)
	for {
		section, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			found.broken = err
			break
		}

		found.nodes = append(found.nodes, sqlrepo.Node{
			Position: int32(section.Offset), Length: int32(len(section.Data)),
			Codec: uint8(section.CID.Type()), Digest: sqlrepo.Digest(section.CID.Hash()[2:]),
		})
	}

	// The digest covers the whole file, also what follows a broken section.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return found, fmt.Errorf("read %s: %w", name, err)
	}
	if source.failed != nil { // even if later reads succeeded, the bytes may be wrong
		return found, fmt.Errorf("read %s: %w", name, source.failed)
	}

	found.digest = [sha256.Size]byte(hash.Sum(nil))
	if pieces {
		sum, err := root.Root()
		if err != nil {
			return found, fmt.Errorf("%s: %w", name, err)
		}
		found.piece = sum[:]
	}
	return found, nil
}

// counted counts the bytes that are read, and fails when its context ends.
type counted struct {
	ctx  context.Context //nolint:containedctx // a reader takes none
	from io.Reader
	n    *int64
	part *progress.Part
	// failed is the first error other than io.EOF.
	failed error
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	*c.n += int64(n)
	c.part.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) && c.failed == nil {
		c.failed = err
	}
	return n, err
}

// read compares a shard's bytes with its rows.
func (r *run) read(ctx context.Context, row sqlrepo.Shard, name string, part *progress.Part) (*Problem, error) {
	found, err := readShard(ctx, r.opener(row), name, row.Piece != nil, part)
	if err != nil {
		return nil, err
	}

	switch {
	case !bytes.Equal(found.digest[:], row.Digest):
		detail := "its file has another digest"
		if found.broken != nil {
			detail += ": " + found.broken.Error()
		}
		return &Problem{Code: CodeShardDamaged, File: name, Detail: detail}, nil
	case found.broken != nil:
		return &Problem{Code: CodeShardDamaged, File: name, Detail: found.broken.Error()}, nil
	case !bytes.Equal(found.piece, row.Piece):
		return &Problem{Code: CodePieceMismatch, File: name, Detail: "its row has another piece CID than its file"}, nil
	}

	// The rows must list the blocks of the file exactly, in the same order.
	i := 0
	for node, err := range r.Repo.Nodes(ctx, row.ID) {
		if err != nil {
			return r.unreadable(ctx, row, name, err)
		}

		if i >= len(found.nodes) || node != found.nodes[i] {
			detail := fmt.Sprintf("its node at %d is not the block that its file has there", node.Position)
			return &Problem{Code: CodeNodeMismatch, File: name, Detail: detail}, nil
		}
		i++
	}

	if i < len(found.nodes) {
		detail := fmt.Sprintf("its file has a block at %d that is not one of its nodes", found.nodes[i].Position)
		return &Problem{Code: CodeNodeMismatch, File: name, Detail: detail}, nil
	}
	return nil, nil
}

// unreadable makes a problem of rows that can't be read because of their content.
func (r *run) unreadable(ctx context.Context, row sqlrepo.Shard, name string, err error) (*Problem, error) {
	if !r.flawed[row.Upload] || !blamesRows(ctx, err) {
		return nil, err
	}
	return &Problem{Code: CodeNodeMismatch, File: name, Detail: err.Error()}, nil
}
