package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Sending says which files a worker sends to replicas.
type Sending struct {
	// Spaces are the keys of the spaces whose files are sent to their replicas, nil for all spaces.
	Spaces []int64
	// Open opens a store by its identity. It returns store.ErrAbsent if the store is not there.
	Open func(ctx context.Context, identity string) (store.Store, error)
	// Left, if not nil, is called with each replica that still lacks files when the worker ends, and the reason why
	// they can't be sent. It is called from one goroutine at a time.
	Left func(replica sqlrepo.SpaceReplica, reason error)
}

// sender sends files to replicas while the worker packs. What it sends was made by any worker, at any time.
type sender struct {
	crew *crew

	mu sync.Mutex
	// away holds the stores that could not be used, and until when they are left alone.
	away map[string]absence
	// told holds the reasons that were logged.
	told map[string]string
	// lastTry makes the stores that are away be looked for once more at the end.
	lastTry sync.Once
	// tidied holds the replicas in which the leftovers of dead processes were removed.
	tidied map[string]bool
}

// absence is why a store is left alone, and until when.
type absence struct {
	reason error
	until  time.Time
}

func newSender(c *crew) *sender {
	return &sender{crew: c, away: map[string]absence{}, told: map[string]string{}, tidied: map[string]bool{}}
}

// run sends files until ctx ends, or until nothing is left that this worker can send after packed was closed. The
// replicas are served side by side: one that is slow, or hangs, keeps nothing from the others.
func (s *sender) run(ctx context.Context, packed <-chan struct{}) error {
	if s.crew.Sending == nil {
		return nil
	}
	if err := leftovers.ReleaseSendings(ctx, s.crew.Repo, s.crew.Sending.Spaces, s.crew.Log); err != nil {
		return err
	}

	targets, ctx := errgroup.WithContext(ctx)
	targets.Go(func() error { return s.find(ctx, targets, packed) })
	return targets.Wait()
}

// find serves each replica from the time when it is found.
func (s *sender) find(ctx context.Context, targets *errgroup.Group, packed <-chan struct{}) error {
	serving := map[sqlrepo.SpaceReplica]bool{}
	for last := false; !last && ctx.Err() == nil; {
		last = isClosed(packed)
		replicas, err := s.crew.Repo.SpaceReplicas(ctx, s.crew.Sending.Spaces)
		if err != nil {
			return unlessEnded(ctx, err)
		}

		for _, replica := range replicas {
			if !serving[replica] {
				serving[replica] = true
				targets.Go(func() error { return newTarget(s, replica).serve(ctx, packed) })
			}
		}

		// Replicas may be added meanwhile.
		select {
		case <-ctx.Done():
		case <-packed:
		case <-time.After(lookAgain):
		}
	}
	return nil
}

// unlessEnded returns nil for the error of a call whose context has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// leave leaves a store alone for a while.
func (s *sender) leave(identity string, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[identity] != reason.Error() {
		s.told[identity] = reason.Error()
		s.crew.Log.Warn("sending nothing to or from a store for now", "reason", reason)
	}
	s.away[identity] = absence{reason, time.Now().Add(lookAgain)}
}

// tryAgain makes all stores count as present, once.
func (s *sender) tryAgain() {
	s.lastTry.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.away)
	})
}

// absent returns why a store is left alone, or nil if it is not. At the end of the work, a store that was away stays
// away.
func (s *sender) absent(identity string, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, away := s.away[identity]
	if !away || !last && time.Now().After(known.until) {
		return nil
	}
	return known.reason
}

// absentStores lists the stores that are left alone.
func (s *sender) absentStores(last bool) (identities []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for identity, known := range s.away {
		if last || time.Now().Before(known.until) {
			identities = append(identities, identity)
		}
	}
	slices.Sort(identities)
	return identities
}

// open opens a replica. The first time it forgets the copies that are gone, and removes what dead processes have left
// of others.
func (s *sender) open(ctx context.Context, identity string) (store.Store, error) {
	replica, err := s.crew.Sending.Open(ctx, identity)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	known := s.tidied[identity]
	s.mu.Unlock()
	if known {
		return replica, nil
	}

	if err := leftovers.ForgetMissing(ctx, s.crew.Repo, replica, identity); err != nil {
		return nil, err
	}
	unfinished, err := leftovers.FilesOfCopies(ctx, replica)
	if err != nil {
		return nil, err
	}
	if _, err := leftovers.Discard(ctx, replica, unfinished); err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidied[identity] = true
	return replica, nil
}

// left reports that a replica lacks files, unless it does not.
func (s *sender) left(ctx context.Context, replica sqlrepo.SpaceReplica, reason error) error {
	if s.crew.Sending.Left == nil {
		return nil
	}
	lacks, err := s.crew.Repo.Lacking(ctx, replica)
	if err != nil || lacks.Files == 0 {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.crew.Sending.Left(replica, reason)
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

// errNotSent is the reason for what nobody here could send.
var errNotSent = fmt.Errorf("%w: another worker has it, or no store that is there has a good copy", ErrSkipped)
