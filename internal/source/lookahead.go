package source

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// maxBatch is the largest number of names that a reader takes at once.
	maxBatch = 64
	// maxInspected is, per reader, the largest number of entries inspected before the walk reached them.
	maxInspected = 256
	// batchTime is the time that a batch should take. It is long against the cost of handing a batch over, and
	// short against the latency of a network file system, where batches hold one entry.
	batchTime = time.Millisecond
)

// lookahead lists directories and inspects entries ahead of the walk. Readers always take the work that the walk
// will need first, as long as there is room. Work that the walk is waiting for needs no room.
type lookahead struct {
	in      *inspector
	readers sync.WaitGroup

	mu      sync.Mutex
	work    sync.Cond // signals that there may be work for a reader
	results sync.Cond // signals that the result that the walk waits for may be there
	queue   workQueue
	// wanted is the directory that the walk waits for, if any.
	wanted *directory
	// inspected is the number of entries that readers have taken and the walk has not reached.
	inspected int
	// cost is a running mean of the time it takes to inspect one entry.
	cost    time.Duration
	stopped bool
}

func newLookahead(in *inspector) *lookahead {
	l := &lookahead{in: in, cost: batchTime / 8}
	l.work.L, l.results.L = &l.mu, &l.mu
	return l
}

// start starts the readers. They end with ctx.
func (l *lookahead) start(ctx context.Context, top *directory) {
	heap.Push(&l.queue, top)

	l.readers.Go(func() {
		<-ctx.Done()
		l.stop()
	})

	for range l.in.opts.readers() {
		l.readers.Go(func() { l.read(ctx) })
	}
}

// stop ends the readers and wakes the walk.
func (l *lookahead) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.stopped = true
	l.work.Broadcast()
	l.results.Broadcast()
}

// read is the loop of a reader. It returns when the lookahead stops.
func (l *lookahead) read(ctx context.Context) {
	for {
		d, b := l.claim()
		switch {
		case d == nil:
			return
		case b == nil:
			names, err := l.list(d)
			l.listedAs(d, names, err)
		default:
			began := time.Now()
			found, err := l.inspect(ctx, d, b.names)
			if ctx.Err() != nil {
				return
			}
			l.inspectedAs(d, b, found, err, time.Since(began))
		}
	}
}

// claim waits for the next piece of work and takes it: a batch of a directory, or a nil batch if the directory is
// yet to be listed. The directory is nil once the lookahead has stopped.
func (l *lookahead) claim() (*directory, *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()

	for !l.stopped && !l.claimable() {
		l.work.Wait()
	}
	if l.stopped {
		return nil, nil
	}

	d := l.queue[0]
	var b *batch
	if d.listed {
		b = d.nextBatch(l.batchSize())
		l.inspected += len(b.names)
	}

	// A directory to be listed leaves the queue too. listedAs queues it again for its batches.
	if d.exhausted() {
		heap.Pop(&l.queue)
	} else {
		heap.Fix(&l.queue, 0)
	}

	l.wakeReader()
	return d, b
}

// claimable reports whether a reader may take the work at the head of the queue. Listing needs no room: when a
// listed directory is at the head and there is no room, nothing behind it is listed.
func (l *lookahead) claimable() bool {
	if len(l.queue) == 0 {
		return false
	}
	d := l.queue[0]
	wanted := d == l.wanted && len(d.batches) == 0
	return wanted || !d.listed || l.inspected < l.in.opts.readers()*maxInspected
}

// wakeReader wakes one reader if there is work. That reader wakes the next.
func (l *lookahead) wakeReader() {
	if l.claimable() {
		l.work.Signal()
	}
}

// batchSize returns the number of names that take about batchTime to inspect.
func (l *lookahead) batchSize() int {
	return min(max(int(batchTime/max(l.cost, 1)), 1), maxBatch)
}

// list returns the sorted names in a directory, without those that are excluded whatever their kind. It removes
// duplicates, since some network file systems return a name twice when the directory changes meanwhile.
func (l *lookahead) list(d *directory) ([]string, error) {
	entries, err := l.in.fsys.ReadDir(d.osPath)
	if err != nil {
		return nil, cmp.Or(Fatal(l.in.fsys, l.in.root, err), l.missing(d, err), err)
	}

	names := make([]string, 0, len(entries))
	var tooLong []string
	for _, e := range entries {
		path := d.entry.Path.Join(e.Name())
		// The kind of an entry is not known before it is inspected.
		asFile, asDir := l.in.opts.Excludes.verdicts(path, false)
		switch {
		case asFile && asDir:
			l.in.opts.Excludes.verdicts(path, true) // it may be one, and is not inspected
		case len(path) > sqlrepo.MaxPathLength:
			tooLong = append(tooLong, e.Name())
		default:
			names = append(names, e.Name())
		}
	}

	if len(tooLong) > 0 {
		if names, err = l.listTooLong(d, names, tooLong); err != nil {
			return nil, err
		}
	}

	slices.Sort(names)
	return slices.Compact(names), nil
}

// missing returns errNotFound for a directory that no longer exists in its parent, and errAway for a directory
// that could not be found for a moment. It returns nil for any other error.
func (l *lookahead) missing(d *directory, err error) error {
	if d.in == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if _, err := l.in.fsys.Lstat(d.osPath); gone(err) && d.in.isItself(l.in.fsys) {
		return errNotFound
	}
	return errAway
}

// inspect inspects the entries with the given names. It stops early, with the entries found so far, when ctx ends
// or the source cannot be read.
func (l *lookahead) inspect(ctx context.Context, d *directory, names []string) ([]item, error) {
	found := make([]item, 0, len(names))
	for _, name := range names {
		if ctx.Err() != nil {
			return found, nil
		}

		i, ok, err := l.item(d, name)
		if err != nil {
			return found, err
		}
		if ok {
			found = append(found, i)
		}
	}

	return found, nil
}

// item inspects one name of a directory. It returns false for an entry to leave out.
func (l *lookahead) item(d *directory, name string) (item, bool, error) {
	if name == tooLongName {
		return item{entry: failed(d.entry.Path.Join(name), sqlrepo.Fingerprint{Kind: sqlrepo.File}, d.tooLong).Entry}, true,
			nil
	}

	path, osPath := d.entry.Path.Join(name), joinOS(d.osPath, name)
	found, ok, err := l.in.inspect(path, osPath, d.above)

	if errors.Is(err, errNotFound) && d.isItself(l.in.fsys) {
		// The directory is in its place now, but another one may have hidden the entry for a moment: look again.
		found, ok, err = l.in.inspect(path, osPath, d.above)
		if errors.Is(err, errNotFound) {
			return item{}, false, nil
		}
	}

	if errors.Is(err, errNotFound) {
		return item{entry: away(path)}, true, nil
	}

	if !ok || err != nil {
		return item{}, false, err
	}

	asFile, asDir := l.in.opts.Excludes.verdicts(path, found.Kind == sqlrepo.Directory)
	if found.Kind == sqlrepo.Directory {
		return item{dir: newDirectory(&found, osPath, d)}, !asDir, nil
	}
	return item{entry: found.Entry}, !asFile, nil
}

// listedAs records the outcome of listing d and queues d for its batches.
func (l *lookahead) listedAs(d *directory, names []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	d.listed, d.names, d.err = true, names, err
	if len(names) > 0 {
		d.moveOn()
		heap.Push(&l.queue, d)
	}

	l.deliver(d)
}

// inspectedAs records the outcome of inspecting a batch of d and queues the directories that were found.
func (l *lookahead) inspectedAs(d *directory, b *batch, found []item, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.cost = (3*l.cost + took/time.Duration(len(b.names))) / 4
	b.found, b.err, b.done = found, err, true

	for i := range found {
		if dir := found[i].dir; dir != nil {
			heap.Push(&l.queue, dir)
		}
	}

	l.deliver(d)
}

// deliver wakes the walk if it waits for d.
func (l *lookahead) deliver(d *directory) {
	if l.wanted == d {
		l.results.Signal()
	}
	l.wakeReader()
}

// open waits until d is listed. It returns false if the lookahead stopped.
func (l *lookahead) open(d *directory) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.await(d, func() bool { return d.listed })
}

// next waits until the next batch of d is inspected and returns it, or nil if there are no more batches. It
// returns false if the lookahead stopped.
func (l *lookahead) next(d *directory) (*batch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if len(d.batches) == 0 && d.exhausted() {
		return nil, true
	}

	if !l.await(d, func() bool { return len(d.batches) > 0 && d.batches[0].done }) {
		return nil, false
	}

	// The array must not keep the batch alive.
	b := d.batches[0]
	d.batches[0], d.batches = nil, d.batches[1:]
	l.inspected -= len(b.names)
	l.wakeReader()
	return b, true
}

// await waits until there returns true. Readers need no room for the work on d meanwhile.
func (l *lookahead) await(d *directory, ready func() bool) bool {
	l.wanted = d
	defer func() { l.wanted = nil }()

	for !l.stopped && !ready() {
		l.wakeReader()
		l.results.Wait()
	}

	return !l.stopped
}
