package blocks

import (
	"context"
	"errors"
	"io"
	"sync"
)

const (
	// pieceBytes is the size of a read of a shard of DAG nodes, because nodes are small and neighbours are wanted
	// together.
	pieceBytes = 256 << 10
	// heldPieces limits the number of pieces in memory.
	heldPieces = 32
)

// pieces caches parts of shards that hold the nodes of DAGs. Each piece begins at a multiple of pieceBytes.
type pieces struct {
	mu    sync.Mutex
	held  map[pieceKey]*piece
	clock int64
}

type pieceKey struct{ shard, number int64 }

type piece struct {
	data []byte
	used int64
}

func newPieces() *pieces { return &pieces{held: map[pieceKey]*piece{}} }

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
	if data, ok := p.get(key); ok {
		return data, nil
	}

	data := make([]byte, max(0, min(pieceBytes, h.shard.Size-number*pieceBytes)))
	n, err := h.reading.ReadAt(ctx, data, number*pieceBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}

	p.put(key, data[:n])
	return data[:n], nil
}

func (p *pieces) get(key pieceKey) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.held[key]
	if !ok {
		return nil, false
	}

	p.clock++
	one.used = p.clock
	return one.data, true
}

func (p *pieces) put(key pieceKey, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	p.held[key] = &piece{data, p.clock}

	for len(p.held) > heldPieces {
		oldest := key
		for other, one := range p.held {
			if one.used < p.held[oldest].used {
				oldest = other
			}
		}
		delete(p.held, oldest)
	}
}

// forget drops the pieces of a shard.
func (p *pieces) forget(shard int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.held {
		if key.shard == shard {
			delete(p.held, key)
		}
	}
}
