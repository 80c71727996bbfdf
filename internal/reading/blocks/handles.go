package blocks

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// openShards is the number of open shards beyond which unused ones are closed.
const openShards = 32

// handle is a shard that is open or being opened.
type handle struct {
	id      int64
	shard   sqlrepo.Shard
	reading store.Reading

	ready chan struct{}
	err   error
	// whole remembers that the shard was seen to have all its bytes.
	whole onceWell
	// users counts the readers of the shard. The last user of a dropped handle closes it.
	users   int
	dropped bool
}

// handles holds the open shards.
type handles struct {
	mu   sync.Mutex
	open map[int64]*handle
	// idle holds the open shards that nobody reads. It has room for one more than openShards, since release drops the
	// surplus itself: a shard in use counts as open and can't be dropped.
	idle *simplelru.LRU[int64, *handle]
	err  error
}

func newHandles() *handles {
	idle, _ := simplelru.NewLRU[int64, *handle](openShards+1, nil) // only a size below 1 is an error
	return &handles{open: map[int64]*handle{}, idle: idle}
}

// use calls fn with an open shard. It opens the shard if necessary, once, however many callers ask for it at the
// same time. A caller that waits for another one to open the shard does so as long as its own ctx lasts.
func (h *handles) use(ctx context.Context, id int64, open func() (*handle, error), fn func(*handle) error) error {
	for {
		shared, mine := h.acquire(id)
		if mine {
			opened, err := open()
			if err == nil {
				shared.shard, shared.reading = opened.shard, opened.reading
			}
			shared.err = err
			close(shared.ready)
		} else if err := shared.wait(ctx); err != nil {
			h.release(shared)
			return err
		}

		if shared.err == nil {
			err := fn(shared)
			h.release(shared)
			return err
		}

		h.forget(id, shared)
		h.release(shared)
		if mine {
			return shared.err
		}

		// The caller that opened the shard may have been interrupted, which is no failure of this caller.
	}
}

// wait waits until another caller has opened the shard or has failed to.
func (h *handle) wait(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *handles) acquire(id int64) (shared *handle, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()

	shared, known := h.open[id]
	if !known {
		shared = &handle{id: id, ready: make(chan struct{})}
		h.open[id] = shared
	}
	h.idle.Remove(id)
	shared.users++
	return shared, !known
}

func (h *handles) release(shared *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()

	shared.users--
	switch {
	case shared.dropped:
		h.end(shared)
	case shared.users == 0:
		h.idle.Add(shared.id, shared)
	}

	// Shards in use stay open, even if there are too many.
	for len(h.open) > openShards && h.idle.Len() > 0 {
		_, oldest, _ := h.idle.RemoveOldest()
		h.drop(oldest)
	}
}

// forget drops a shard. If only is given, forget drops the shard only if it has that handle.
func (h *handles) forget(id int64, only ...*handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if shared, known := h.open[id]; known && (len(only) == 0 || only[0] == shared) {
		h.drop(shared)
	}
}

func (h *handles) drop(shared *handle) {
	delete(h.open, shared.id)
	h.idle.Remove(shared.id)
	shared.dropped = true
	h.end(shared)
}

// end closes a dropped handle that nobody uses.
func (h *handles) end(shared *handle) {
	if shared.users == 0 && shared.reading != nil {
		h.err = errors.Join(h.err, shared.reading.Close())
		shared.reading = nil
	}
}

// close closes all shards. It returns every error of closing a shard.
func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, shared := range h.open {
		h.drop(shared)
	}
	return h.err
}
