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
		one, mine := h.acquire(id)
		if mine {
			opened, err := open()
			if err == nil {
				one.shard, one.reading = opened.shard, opened.reading
			}
			one.err = err
			close(one.ready)
		} else if err := one.wait(ctx); err != nil {
			h.release(one)
			return err
		}

		if one.err == nil {
			err := fn(one)
			h.release(one)
			return err
		}

		h.forget(id, one)
		h.release(one)
		if mine {
			return one.err
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

func (h *handles) acquire(id int64) (one *handle, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()

	one, known := h.open[id]
	if !known {
		one = &handle{id: id, ready: make(chan struct{})}
		h.open[id] = one
	}
	h.idle.Remove(id)
	one.users++
	return one, !known
}

func (h *handles) release(one *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()

	one.users--
	switch {
	case one.dropped:
		h.end(one)
	case one.users == 0:
		h.idle.Add(one.id, one)
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
	if one, known := h.open[id]; known && (len(only) == 0 || only[0] == one) {
		h.drop(one)
	}
}

func (h *handles) drop(one *handle) {
	delete(h.open, one.id)
	h.idle.Remove(one.id)
	one.dropped = true
	h.end(one)
}

// end closes a dropped handle that nobody uses.
func (h *handles) end(one *handle) {
	if one.users == 0 && one.reading != nil {
		h.err = errors.Join(h.err, one.reading.Close())
		one.reading = nil
	}
}

// close closes all shards. It returns every error of closing a shard.
func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.open {
		h.drop(one)
	}
	return h.err
}
