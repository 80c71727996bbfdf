package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// longestIdle is the longest pause between two looks for files to send.
	longestIdle = 15 * time.Second
	// lastPatience is how long the end of the work waits for a replica that makes no progress.
	lastPatience = 2 * time.Minute
)

// errHangs is the reason for leaving a replica alone that makes no progress.
var errHangs = fmt.Errorf("%w: the replica makes no progress", store.ErrUnusable)

// target is a replica of a space while files are sent to it.
type target struct {
	*sender
	to sqlrepo.SpaceReplica
	// hands limits the number of files that are sent at the same time.
	hands chan struct{}
	// ended gets a signal when a file was sent, or could not be.
	ended chan struct{}
	sends sync.WaitGroup
	// sending counts the files under way.
	sending atomic.Int64
	// opening is true while the replica is being opened.
	opening atomic.Bool
	// moved is when the replica last made progress, in nanoseconds since 1970.
	moved atomic.Int64
	// failed holds the error that ends the worker.
	failed chan error
	// sent and sentBytes count what was sent, and counted is when what is left was last counted. total and totalBytes
	// are what this target has added to the totals of the progress.
	sent, sentBytes   atomic.Int64
	counted           time.Time
	total, totalBytes int64
}

func newTarget(s *sender, to sqlrepo.SpaceReplica) *target {
	return &target{sender: s, to: to, hands: make(chan struct{}, s.crew.Workers), ended: make(chan struct{}, 1),
		failed: make(chan error, 1)}
}

// serve sends as many files at the same time as the worker packs shards. Once all is packed, it waits for a replica
// only as long as that makes progress, and not at all for a call that does not return: the upload is complete without
// it.
func (t *target) serve(ctx context.Context, packed <-chan struct{}) error {
	sending, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t.touch()

	done := make(chan error, 1)
	go func() { done <- t.dispatch(sending, packed) }()

	ending, hurry := packed, (<-chan time.Time)(nil)
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return t.abandon(done, 2*giveBackTimeout)
		case <-ending:
			ending = nil
			t.touch()
			t.crew.Progress.Enter("sending")
			ticker := time.NewTicker(time.Second)
			defer ticker.Stop()
			hurry = ticker.C
		case <-hurry:
			if t.idle() < min(lastPatience, t.crew.limits.StallTimeout) {
				continue
			}
			reason := errNotSent
			if t.sending.Load() > 0 || t.opening.Load() {
				reason = fmt.Errorf("store %q: %w", t.name(ctx), errHangs)
				t.leave(t.to.Store, reason)
			}
			stop(reason)
			if err := t.abandon(done, min(giveBackTimeout, t.crew.limits.Lease)); err != nil {
				return err
			}
			return t.left(ctx, t.to, reason)
		}
	}
}

// abandon waits for a short time until calls have ended with their context, and leaves them alone if they don't.
func (t *target) abandon(done <-chan error, patience time.Duration) error {
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.crew.Log.Warn("a call to a replica does not return", "store", t.to.Store)
		return nil
	}
}

// name returns the name of the replica, or its identity if that can't be read.
func (t *target) name(ctx context.Context) string {
	stores, err := t.crew.Repo.Stores(ctx)
	for _, row := range stores {
		if err == nil && row.Identity == t.to.Store {
			return row.Name
		}
	}
	return t.to.Store
}

// touch notes that the replica makes progress.
func (t *target) touch() { t.moved.Store(time.Now().UnixNano()) }

func (t *target) idle() time.Duration { return time.Since(time.Unix(0, t.moved.Load())) }

// dispatch claims files and sends them until nothing is left that this worker can send. After an error it does not
// finish the files under way.
func (t *target) dispatch(ctx context.Context, packed <-chan struct{}) error {
	defer t.sends.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	idle := lookEvery
	for {
		select {
		case t.hands <- struct{}{}:
		case err := <-t.failed:
			return err
		case <-ctx.Done():
			return nil
		}

		// What is packed after this look is found by the next one.
		_, _, changed := t.crew.board.view()
		last := isClosed(packed)
		if last {
			t.tryAgain()
			t.expect(ctx)
		}
		next, more, err := t.claim(ctx, last)
		if err != nil && ctx.Err() == nil {
			return err
		}

		if err == nil && next != nil {
			idle = lookEvery
			t.sends.Go(func() { t.hand(ctx, *next) })
			continue
		}

		<-t.hands
		if ctx.Err() != nil {
			return nil
		}
		if last && !more {
			t.sends.Wait()
			return t.end(ctx)
		}
		idle = t.wait(ctx, changed, packed, last, idle)
	}
}

// countEvery is the shortest time between two counts of what a replica lacks.
const countEvery = 10 * time.Second

// expect counts what is left to send, as progress. Other workers may send some of it, so it is counted now and then.
func (t *target) expect(ctx context.Context) {
	if time.Since(t.counted) < countEvery {
		return
	}
	t.counted = time.Now()
	lacks, err := t.crew.Repo.Lacking(ctx, t.to)
	if err != nil {
		return // it is only for display; the work itself notices a database that is away
	}

	files, bytes := t.sent.Load()+lacks.Files, t.sentBytes.Load()+lacks.Bytes
	t.crew.Progress.SentTotal.Add(files - t.total)
	t.crew.Progress.SentBytesTotal.Add(bytes - t.totalBytes)
	t.total, t.totalBytes = files, bytes
}

// hand sends a file and frees the hand that it has.
func (t *target) hand(ctx context.Context, sending sqlrepo.Sending) {
	t.sending.Add(1)
	defer signal(t.ended)
	defer func() { <-t.hands }()
	defer t.sending.Add(-1)
	if err := t.send(ctx, sending); err != nil {
		select {
		case t.failed <- err:
		default:
		}
	}
}

// end returns the error of a file that ends the worker, and otherwise reports what the replica lacks.
func (t *target) end(ctx context.Context) error {
	select {
	case err := <-t.failed:
		return err
	default:
	}

	reason := t.absent(t.to.Store, true)
	for _, identity := range t.absentStores(true) {
		if reason == nil {
			reason = t.absent(identity, true)
		}
	}
	if reason == nil {
		reason = errNotSent
	}
	return t.left(ctx, t.to, reason)
}

// wait waits until there may be something to send. It returns how long the next pause may be.
func (t *target) wait(ctx context.Context, changed, packed <-chan struct{}, last bool,
	idle time.Duration) time.Duration {
	if last {
		packed, idle = nil, lookEvery
	}
	select {
	case <-ctx.Done():
	case <-packed:
	case <-changed:
	case <-t.ended:
	case <-time.After(idle):
		return min(2*idle, longestIdle)
	}
	return lookEvery
}

// claim claims a file for the replica, unless that is away. Without a file to claim, it returns nil and whether files
// are on their way, or will be tried again.
func (t *target) claim(ctx context.Context, last bool) (next *sqlrepo.Sending, more bool, err error) {
	// A replica that is away is looked for now and then, but not waited for.
	if t.absent(t.to.Store, last) != nil {
		return nil, false, nil
	}
	t.opening.Store(true)
	_, err = t.open(ctx, t.to.Store)
	t.opening.Store(false)
	if err != nil {
		if isDatabase(err) {
			return nil, false, err
		}
		if ctx.Err() == nil {
			t.leave(t.to.Store, err)
		}
		return nil, false, nil
	}

	sending, more, err := t.crew.Repo.ClaimSending(ctx, t.crew.claim, t.to, t.absentStores(last))
	switch {
	case err == nil:
		return &sending, true, nil
	case errors.Is(err, sqlrepo.ErrNothingToClaim):
		return nil, more, nil
	}
	return nil, false, err
}

// send sends one file under its lease.
func (t *target) send(ctx context.Context, sending sqlrepo.Sending) error {
	l := t.crew.keep(ctx, sending, sending.Attempts)
	name := FileName(sending)

	err := t.crew.abandoned(sending.Attempts)
	if err == nil {
		err = t.deliver(l, sending, name)
	}
	if err == nil {
		err = t.crew.Repo.Sent(l.ctx, sending)
	}
	switch {
	case err == nil:
		l.stop() // the lease has ended with the record
		err = t.confirm(ctx, sending, name)
	case errors.Is(err, sqlrepo.ErrNotNeeded):
		err = t.discard(ctx, sending, name)
	}
	if err != nil {
		return t.notSent(ctx, l, sending, fmt.Errorf("send %s: %w", name, err))
	}

	l.stop()
	t.touch()
	t.crew.succeeded()
	t.sent.Add(1)
	t.sentBytes.Add(sending.Size)
	t.crew.Progress.Sent.Add(1)
	return nil
}

// confirm forgets a copy that a removal has taken before it was recorded. Its file is needed again by now.
func (t *target) confirm(ctx context.Context, sending sqlrepo.Sending, name string) error {
	to, err := t.open(ctx, sending.Store)
	if err != nil {
		return err
	}
	err = to.Confirm(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return t.crew.Repo.ForgetCopies(ctx, sending.Store, []sqlrepo.Digest{sqlrepo.Digest(sending.Digest)})
	}
	return err
}

// deliver brings a file to the replica: from its own store, or from any other one if it is away there, missing or
// damaged.
func (t *target) deliver(l *lease, sending sqlrepo.Sending, name string) error {
	to, err := t.open(l.ctx, t.to.Store)
	if err != nil {
		t.blame(l.ctx, t.to.Store, err)
		return err
	}

	failure := t.deliverFrom(l, sending, name, sending.Origin, to)
	if failure == nil || !errors.Is(failure, delivery.ErrSource) || l.ctx.Err() != nil {
		return failure
	}

	holders, err := t.crew.Repo.StoresWith(l.ctx, sqlrepo.Digest(sending.Digest))
	if err != nil {
		return err
	}
	for _, identity := range holders {
		if identity == sending.Origin || identity == t.to.Store || t.absent(identity, true) != nil {
			continue
		}
		err := t.deliverFrom(l, sending, name, identity, to)
		if err == nil {
			t.crew.Log.Warn("a file was sent from another copy than that of its own store: guppy check --read-data --repair "+
				"--yes mends the store if it is there", "file", name, "reason", failure)
		}
		if err == nil || !errors.Is(err, delivery.ErrSource) {
			return err
		}
	}
	return failure
}

func (t *target) deliverFrom(l *lease, sending sqlrepo.Sending, name, origin string, to store.Store) error {
	from, err := t.crew.Sending.Open(l.ctx, origin)
	if err != nil {
		t.blame(l.ctx, origin, err)
		return fmt.Errorf("%w: %w", delivery.ErrSource, err)
	}

	part := t.crew.Progress.Sending(name, sending.Size)
	defer part.End()
	_, err = delivery.Deliver(l.ctx, delivery.Order{
		From: from, To: to, Owner: leftovers.CopyOwner(), Name: name, Digest: [32]byte(sending.Digest), Size: sending.Size,
		Sent: func(n int64) {
			t.touch()
			l.sent(n)
		},
		Read: func(n int64) {
			t.touch()
			l.progress(n)
			part.Add(n)
		},
	})
	if err != nil {
		part.Restart()
	} else {
		part.Done()
	}
	if errors.Is(err, delivery.ErrSource) {
		t.blame(l.ctx, origin, err)
	} else if err != nil {
		t.blame(l.ctx, t.to.Store, err)
	}
	return err
}
