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
	// maxBatch is the most names that a reader takes at once.
	maxBatch = 64
	// maxInspected bounds, for each reader, the entries that were inspected before the walk reached them.
	maxInspected = 256
	// batchTime is how long a batch should take: long against the cost of handing it over, short against the
	// latency of a network file system, where it makes batches of one entry.
	batchTime = time.Millisecond
)

// lookahead lists directories and inspects entries ahead of the walk. Readers always take the work that the walk
// will need first, as long as there is room; the work that the walk waits for needs none.
type lookahead struct {
	in      *inspector
	readers sync.WaitGroup

	mu      sync.Mutex
	work    sync.Cond // there may be work that a reader can take
	results sync.Cond // what the walk waits for may be there
	queue   workQueue
	// wanted is the directory that the walk waits for.
	wanted *directory
	// inspected counts the entries that were taken and that the walk has not reached.
	inspected int
	// cost is a running mean of how long it takes to inspect one entry.
	cost    time.Duration
	stopped bool
}

func newLookahead(in *inspector) *lookahead {
	l := &lookahead{in: in, cost: batchTime / 8}
	l.work.L, l.results.L = &l.mu, &l.mu
	return l
}

// start makes the readers, which end with ctx.
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

func (l *lookahead) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.work.Broadcast()
	l.results.Broadcast()
}

// read is what a reader does until the lookahead stops.
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

// claim waits for the next piece of work: a batch of a directory, or all of it when it is yet to be listed. The
// directory is nil once the lookahead has stopped.
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
		b = d.take(l.batchSize())
		l.inspected += len(b.names)
	}
	if d.exhausted() {
		heap.Pop(&l.queue)
	} else {
		heap.Fix(&l.queue, 0)
	}
	l.wakeReader()
	return d, b
}

// claimable tells whether a reader may take the work at the head of the queue. Listing needs no room: once a listed
// directory is at the head and there is none, nothing behind it is listed.
func (l *lookahead) claimable() bool {
	if len(l.queue) == 0 {
		return false
	}
	d := l.queue[0]
	wanted := d == l.wanted && len(d.batches) == 0
	return wanted || !d.listed || l.inspected < l.in.opts.readers()*maxInspected
}

// wakeReader wakes one reader if there is work; it will wake the next.
func (l *lookahead) wakeReader() {
	if l.claimable() {
		l.work.Signal()
	}
}

func (l *lookahead) batchSize() int {
	return min(max(int(batchTime/max(l.cost, 1)), 1), maxBatch)
}

// list reads the names in a directory, in order, without those that are excluded whatever they are. Some network
// file systems return a name twice when the directory changes meanwhile.
func (l *lookahead) list(d *directory) ([]string, error) {
	entries, err := l.in.fsys.ReadDir(d.osPath)
	if err != nil {
		return nil, cmp.Or(Fatal(l.in.fsys, l.in.root, err), l.missing(d, err), err)
	}
	names := make([]string, 0, len(entries))
	var tooLong []string
	for _, e := range entries {
		path := d.entry.Path.Join(e.Name())
		asFile, asDir := l.in.opts.Excludes.verdicts(path)
		switch {
		case asFile && asDir:
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

// missing returns errNotFound for a directory that is no longer in the one that had it, and errAway for one that could
// not be found for a moment.
func (l *lookahead) missing(d *directory, err error) error {
	if d.in == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := l.in.fsys.Lstat(d.osPath); gone(err) && d.in.isItself(l.in.fsys) {
		return errNotFound
	}
	return errAway
}

// inspect finds out what the entries with these names are. It stops early, with what it has, when ctx ends or the
// source can't be read.
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

func (l *lookahead) item(d *directory, name string) (item, bool, error) {
	if name == tooLongName {
		return item{entry: failed(d.entry.Path.Join(name), sqlrepo.Fingerprint{Kind: sqlrepo.File}, d.tooLong).Entry}, true,
			nil
	}
	path, osPath := d.entry.Path.Join(name), joinOS(d.osPath, name)
	found, ok, err := l.in.inspect(path, osPath, d.above)
	if errors.Is(err, errNotFound) && d.isItself(l.in.fsys) {
		found, ok, err = l.in.inspect(path, osPath, d.above) // it may have been hidden by what was there for a moment
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
	asFile, asDir := l.in.opts.Excludes.verdicts(path)
	if found.Kind == sqlrepo.Directory {
		return item{dir: newDirectory(&found, osPath, d)}, !asDir, nil
	}
	return item{entry: found.Entry}, !asFile, nil
}

// listedAs takes in the outcome of listing d.
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

// inspectedAs takes in the outcome of inspecting a batch of d.
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

// next waits for the next batch of d; it is nil when there are no more. It returns false if the lookahead stopped.
func (l *lookahead) next(d *directory) (*batch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(d.batches) == 0 && d.exhausted() {
		return nil, true
	}
	if !l.await(d, func() bool { return len(d.batches) > 0 && d.batches[0].done }) {
		return nil, false
	}
	b := d.batches[0]
	d.batches[0], d.batches = nil, d.batches[1:]
	l.inspected -= len(b.names)
	l.wakeReader()
	return b, true
}

// await waits for something that readers do to d, for which they need no room.
func (l *lookahead) await(d *directory, there func() bool) bool {
	l.wanted = d
	defer func() { l.wanted = nil }()
	for !l.stopped && !there() {
		l.wakeReader()
		l.results.Wait()
	}
	return !l.stopped
}
