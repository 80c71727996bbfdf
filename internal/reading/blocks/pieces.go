package blocks

import (
	"context"
	"errors"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// pieceBytes is the size of a read of a shard of DAG nodes, because nodes are small and neighbours are wanted
	// together.
	pieceBytes = 256 << 10
	// heldPieces limits the number of pieces in memory.
	heldPieces = 32
)

// pieces caches parts of shards that hold the nodes of DAGs. Each piece begins at a multiple of pieceBytes.
type pieces struct{ held *lru.Cache[pieceKey, []byte] }

type pieceKey struct{ shard, number int64 }

func newPieces() *pieces {
	held, _ := lru.New[pieceKey, []byte](heldPieces) // only a size below 1 is an error
	return &pieces{held}
}

// read reads bytes at an offset, like an io.ReaderAt, by way of at most two pieces. If a piece can't be read
// whole, read reads the requested bytes alone, because the damage may be in a neighbour.
func (p *pieces) read(ctx context.Context, h *handle, offset int64, into []byte) (n int, err error) {
	for n < len(into) {
		at := offset + int64(n)
		data, err := p.piece(ctx, h, at/pieceBytes)
		if isFinal(ctx, err) {
			return n, err
		}

		if err != nil {
			alone, err := h.reading.ReadAt(ctx, into[n:], at)
			return n + alone, err
		}

		within := int(at % pieceBytes)
		if within >= len(data) {
			return n, io.EOF
		}

		n += copy(into[n:], data[within:])
	}
	return n, nil
}

func (p *pieces) piece(ctx context.Context, h *handle, number int64) ([]byte, error) {
	key := pieceKey{h.shard.ID, number}
	if data, ok := p.held.Get(key); ok {
		return data, nil
	}

	data := make([]byte, max(0, min(pieceBytes, h.shard.Size-number*pieceBytes)))
	n, err := h.reading.ReadAt(ctx, data, number*pieceBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}

	p.held.Add(key, data[:n])
	return data[:n], nil
}

// forget drops the pieces of a shard.
func (p *pieces) forget(shard int64) {
	for _, key := range p.held.Keys() {
		if key.shard == shard {
			p.held.Remove(key)
		}
	}
}
