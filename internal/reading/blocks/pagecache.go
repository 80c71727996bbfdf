package blocks

import (
	"context"
	"errors"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// pageBytes is the size of a read of a shard of DAG nodes, because nodes are small and neighbours are wanted
	// together.
	pageBytes = 256 << 10
	// heldPages limits the number of pages in memory.
	heldPages = 32
)

// pageCache caches parts of shards that hold the nodes of DAGs. Each page begins at a multiple of pageBytes.
type pageCache struct{ held *lru.Cache[pageKey, []byte] }

type pageKey struct{ shard, number int64 }

func newPageCache() *pageCache {
	held, _ := lru.New[pageKey, []byte](heldPages) // only a size below 1 is an error
	return &pageCache{held}
}

// read reads bytes at an offset, like an io.ReaderAt, by way of at most two pages. If a page can't be read
// whole, read reads the requested bytes alone, because the damage may be in a neighbour.
func (p *pageCache) read(ctx context.Context, h *handle, offset int64, into []byte) (n int, err error) {
	for n < len(into) {
		at := offset + int64(n)
		data, err := p.page(ctx, h, at/pageBytes)
		if isFinal(ctx, err) {
			return n, err
		}

		if err != nil {
			alone, err := h.reading.ReadAt(ctx, into[n:], at)
			return n + alone, err
		}

		within := int(at % pageBytes)
		if within >= len(data) {
			return n, io.EOF
		}

		n += copy(into[n:], data[within:])
	}
	return n, nil
}

func (p *pageCache) page(ctx context.Context, h *handle, number int64) ([]byte, error) {
	key := pageKey{h.shard.ID, number}
	if data, ok := p.held.Get(key); ok {
		return data, nil
	}

	data := make([]byte, max(0, min(pageBytes, h.shard.Size-number*pageBytes)))
	n, err := h.reading.ReadAt(ctx, data, number*pageBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}

	p.held.Add(key, data[:n])
	return data[:n], nil
}

// forget drops the pages of a shard.
func (p *pageCache) forget(shard int64) {
	for _, key := range p.held.Keys() {
		if key.shard == shard {
			p.held.Remove(key)
		}
	}
}
