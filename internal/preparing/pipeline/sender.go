package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Sending says which files a worker sends to replicas.
type Sending struct {
	// Spaces are the keys of the spaces whose files are sent to their replicas, nil for all spaces.
	Spaces []int64
	// Open opens a store by its identity. It returns store.ErrAbsent if the store is not there.
	Open func(ctx context.Context, identity string) (store.Store, error)
}

// longestIdle is the longest pause between two looks for files to send.
const longestIdle = 15 * time.Second

// sender sends files to replicas while the worker packs. What it sends was made by any worker, at any time.
type sender struct {
	crew *crew
	// ended gets a signal when a file was sent, or could not be.
	ended chan struct{}
	// targets are the replicas as they were last read.
	targets []sqlrepo.SpaceReplica
	read    time.Time

	mu sync.Mutex
	// away holds the replicas that could not be used, and until when they are left alone.
	away map[sqlrepo.SpaceReplica]time.Time
	// tidied holds the replicas in which the leftovers of dead processes were removed.
	tidied map[string]bool
}

func newSender(c *crew) *sender {
	return &sender{crew: c, ended: make(chan struct{}, 1), away: map[sqlrepo.SpaceReplica]time.Time{},
		tidied: map[string]bool{}}
}

// run sends files until ctx ends, or until nothing is left that this worker can send after packed was closed.
func (s *sender) run(ctx context.Context, packed <-chan struct{}) error {
	if s.crew.Sending == nil {
		return nil
	}
	if err := leftovers.ReleaseSendings(ctx, s.crew.Repo, s.crew.Sending.Spaces, s.crew.Log); err != nil {
		return err
	}

	sends, ctx := errgroup.WithContext(ctx)
	sends.Go(func() error { return s.dispatch(ctx, sends, packed) })
	return sends.Wait()
}

// dispatch claims files and sends as many at the same time as the worker packs shards.
func (s *sender) dispatch(ctx context.Context, sends *errgroup.Group, packed <-chan struct{}) error {
	hands := make(chan struct{}, s.crew.Workers)
	idle := lookEvery
	for {
		select {
		case hands <- struct{}{}:
		case <-ctx.Done():
			return nil
		}

		// What is packed after this look is found by the next one.
		_, _, changed := s.crew.board.view()
		last := isClosed(packed)
		next, more, err := s.claim(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}

		if last && more {
			s.crew.Progress.Enter("sending")
		}
		if err == nil && next != nil {
			idle = lookEvery
			sends.Go(func() error {
				defer signal(s.ended)
				defer func() { <-hands }()
				return s.send(ctx, *next)
			})
			continue
		}

		<-hands
		if ctx.Err() != nil || last && !more {
			return nil
		}
		idle = s.wait(ctx, changed, packed, last, idle)
	}
}

// wait waits until there may be something to send. It returns how long the next pause may be.
func (s *sender) wait(ctx context.Context, changed, packed <-chan struct{}, last bool,
	idle time.Duration) time.Duration {
	if last {
		packed, idle = nil, lookEvery
	}
	select {
	case <-ctx.Done():
	case <-packed:
	case <-changed:
	case <-s.ended:
	case <-time.After(idle):
		return min(2*idle, longestIdle)
	}
	return lookEvery
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// claim claims a file for one of the replicas that are there. If there is none, it returns nil and whether files are
// on their way, or will be tried again.
func (s *sender) claim(ctx context.Context) (next *sqlrepo.Sending, more bool, err error) {
	if time.Since(s.read) >= lookAgain {
		if s.targets, err = s.crew.Repo.SpaceReplicas(ctx, s.crew.Sending.Spaces); err != nil {
			return nil, false, err
		}
		s.read = time.Now()
	}

	for _, to := range s.targets {
		if s.isAway(to) {
			continue
		}
		sending, left, err := s.crew.Repo.ClaimSending(ctx, s.crew.claim, to)
		if err == nil {
			return &sending, true, nil
		}
		if !errors.Is(err, sqlrepo.ErrNothingToClaim) {
			return nil, false, err
		}
		more = more || left
	}
	return nil, more, nil
}

// isAway reports whether a replica is left alone. A worker that works on one upload does not wait for its return.
func (s *sender) isAway(to sqlrepo.SpaceReplica) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, away := s.away[to]
	return away && (!s.crew.Roving || time.Now().Before(until))
}

// send sends one file under its lease.
func (s *sender) send(ctx context.Context, sending sqlrepo.Sending) error {
	l := s.crew.keep(ctx, sending, sending.Attempts)
	name := FileName(sending)

	err := s.crew.abandoned(sending.Attempts)
	if err == nil {
		err = s.deliver(l, sending, name)
	}
	if err == nil {
		err = s.crew.Repo.Sent(l.ctx, sending)
	}
	if errors.Is(err, sqlrepo.ErrNotNeeded) {
		err = s.discard(ctx, sending, name)
	}
	if err != nil {
		return s.failed(ctx, l, sending, fmt.Errorf("send %s: %w", name, err))
	}

	l.stop()
	s.crew.succeeded()
	s.crew.Progress.Sent.Add(1)
	return nil
}

// FileName returns the name of a file on its way, which it has in all stores.
func FileName(sending sqlrepo.Sending) string {
	digest := [32]byte(sending.Digest)
	if sending.Kind == sqlrepo.IndexBlob {
		return blobindex.Name(digest)
	}
	return shard.Name(digest)
}

func (s *sender) deliver(l *lease, sending sqlrepo.Sending, name string) error {
	from, err := s.crew.Sending.Open(l.ctx, sending.Origin)
	if err != nil {
		return err
	}
	to, err := s.crew.Sending.Open(l.ctx, sending.Store)
	if err != nil {
		return err
	}
	if err := s.tidy(l.ctx, sending.Store, to); err != nil {
		return err
	}

	_, err = delivery.Deliver(l.ctx, delivery.Order{
		From: from, To: to, Owner: leftovers.CopyOwner(), Name: name, Digest: [32]byte(sending.Digest), Size: sending.Size,
		Sent: l.sent, Read: func(n int64) {
			l.progress(n)
			s.crew.Progress.SentBytes.Add(n)
		},
	})
	return err
}

// tidy removes what dead processes have left of copies in a replica, once.
func (s *sender) tidy(ctx context.Context, identity string, replica store.Store) error {
	s.mu.Lock()
	known := s.tidied[identity]
	s.tidied[identity] = true
	s.mu.Unlock()
	if known {
		return nil
	}

	unfinished, err := leftovers.FilesOfCopies(ctx, replica)
	if err != nil {
		return err
	}
	_, err = leftovers.Discard(ctx, replica, unfinished)
	return err
}

// discard removes a file from the replica that was removed from its store while it was sent.
func (s *sender) discard(ctx context.Context, sending sqlrepo.Sending, name string) error {
	to, err := s.crew.Sending.Open(ctx, sending.Store)
	if err != nil {
		return err
	}
	replica, others := index.Replica{Identity: sending.Store, Files: to}, &trash.Others{Open: s.crew.Sending.Open}
	return index.RemoveCopies(ctx, s.crew.Repo, []index.Replica{replica}, others, sending.Space, []string{name})
}

// failed handles a file that could not be sent. The work of uploads goes on. If failed returns an error, this worker
// has to stop.
func (s *sender) failed(ctx context.Context, l *lease, sending sqlrepo.Sending, failure error) error {
	l.stop()
	failure = l.blame(failure)

	switch {
	case errors.Is(failure, sqlrepo.ErrLeaseLost):
		s.crew.Log.Warn("lost the lease: another worker has taken over", "file", FileName(sending))
		return nil
	case errors.Is(failure, sqlrepo.ErrUnavailable):
		return failure // the work can't be given back either
	case ctx.Err() != nil, isDatabase(failure):
		return errors.Join(failure, s.crew.giveBack(ctx, l))
	case isHost(failure):
		s.leave(sending.SpaceReplica, failure)
		return s.crew.giveBack(ctx, l)
	}
	return s.retry(ctx, l, sending, failure)
}

// leave leaves a replica alone for a while.
func (s *sender) leave(to sqlrepo.SpaceReplica, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.away[to]; !known {
		s.crew.Log.Warn("sending nothing to a replica for now", "store", to.Store, "reason", reason)
	}
	s.away[to] = time.Now().Add(lookAgain)
}

// retry gives a file back for another attempt. A file that its store does not have, or has damaged, is set aside at
// once.
func (s *sender) retry(ctx context.Context, l *lease, sending sqlrepo.Sending, failure error) (err error) {
	attempts := l.attempts + 1
	s.crew.Log.Warn("a file was not sent to a replica", "store", sending.Store, "attempt", attempts, "error", failure)

	lost := errors.Is(failure, delivery.ErrDiffers) || errors.Is(failure, fs.ErrNotExist)
	if lost || attempts >= int64(s.crew.limits.MaxAttempts) {
		err = s.crew.Repo.SetAside(ctx, sending, failure.Error())
	} else {
		err = s.crew.Repo.Fail(ctx, sending, failure.Error(), pause(s.crew.limits.Pause, attempts))
	}
	if errors.Is(err, sqlrepo.ErrLeaseLost) {
		err = nil
	}
	return err
}
