package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Limits are the rules by which workers share work. A zero value stands for its default.
type Limits struct {
	// Lease is how long work stays with a worker that sends no heartbeat.
	Lease time.Duration
	// StallTimeout is how long work stays with a worker that makes no progress.
	StallTimeout time.Duration
	// MaxAttempts is how often work may fail before it is set aside. A worker stops after as many failures in a row,
	// but never after only one.
	MaxAttempts int
	// RunAhead is the number of unsealed shards that each of the Workers may have.
	RunAhead int
	// Pause is the shortest time before failed work is tried again. It doubles with each attempt.
	Pause time.Duration
}

func (l Limits) withDefaults() Limits {
	set(&l.Lease, time.Minute)
	set(&l.StallTimeout, 10*time.Minute)
	set(&l.MaxAttempts, 5)
	set(&l.RunAhead, 4)
	set(&l.Pause, time.Second)
	return l
}

// atLeastTwo is MaxAttempts for decisions that must not rest on a single failure.
func (l Limits) atLeastTwo() int { return max(l.MaxAttempts, 2) }

func set[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

// Worker works on unfinished uploads, beside any number of other workers.
type Worker struct {
	Repo *sqlrepo.Repository
	// Filter selects the uploads that the worker works on.
	Filter sqlrepo.OpenFilter
	// Known holds unfinished uploads that were read a moment ago. The worker begins with them before it reads the
	// database.
	Known []sqlrepo.OpenUpload
	// Locate finds the access of an upload. It returns source.ErrAbsent or store.ErrAbsent if this host lacks one of
	// them.
	Locate func(ctx context.Context, upload sqlrepo.OpenUpload) (*Access, error)
	// Completed, if not nil, is called with each upload that this worker completes.
	Completed func(upload sqlrepo.Upload)
	// Unchanged, if not nil, is called with each upload that this worker drops because nothing has changed since a
	// previous one.
	Unchanged func(dropped, previous sqlrepo.Upload)
	// Sending, if not nil, makes the worker send files to replicas as well.
	Sending *Sending
	// PatternOrigin, if not nil, says where an exclude pattern comes from. Otherwise all are StoredPattern.
	PatternOrigin func(pattern string) string
	// Standing is true for a worker that stays when all work is done, until its context ends.
	Standing bool
	// Roving is true for a worker that continues with other uploads when one is absent or fails repeatedly.
	Roving bool
	// Workers is the number of shards packed at the same time. ReadAhead is the number of concurrent reads for each.
	Workers, ReadAhead int
	Limits             Limits
	TempDir            string
	Progress           *progress.Counters
	Log                *slog.Logger
}

// Run works until there is nothing left that this worker can do, alone or with others. A Standing worker works
// until ctx ends.
//
// Run returns the error of work that failed for a reason that would make other work fail too: the database is away
// for too long, the store is full, or work fails repeatedly. It gives back the work that it has not done.
func (w *Worker) Run(ctx context.Context) error {
	c := newCrew(w)
	group, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx)
	defer stop()

	group.Go(func() error { return c.board.watch(working) })
	group.Go(func() error { return c.board.listen(working) })
	group.Go(func() error { return c.sealer.run(working) })

	var hands sync.WaitGroup
	for range w.Workers {
		hands.Add(1)
		group.Go(func() error {
			defer hands.Done()
			return c.work(ctx)
		})
	}

	// When no task is left, what was packed is sent. Then the board and the sealer stop too.
	packed := make(chan struct{})
	group.Go(func() error {
		hands.Wait()
		close(packed)
		return nil
	})
	group.Go(func() error {
		if err := newSender(c).run(ctx, packed); err != nil {
			return err
		}
		hands.Wait()
		stop()
		return nil
	})

	err := group.Wait()
	c.keepAccesses(nil)
	return errors.Join(err, c.sealer.abort(ctx))
}

// crew is a running worker.
type crew struct {
	*Worker
	limits Limits
	claim  sqlrepo.Claim
	board  *board
	sealer *sealer

	mu sync.Mutex
	// failing holds the work that failed since any work last succeeded.
	failing  map[string]bool
	accesses map[int64]*located
	// users counts the users of each access.
	users map[*Access]int
	// shares has the uploads that the worker takes part in. It is guarded by the board's mutex.
	shares map[int64]*share
}

func newCrew(w *Worker) *crew {
	limits := w.Limits.withDefaults()
	c := &crew{Worker: w, limits: limits, claim: sqlrepo.Claim{Worker: presence.Name(), Term: limits.Lease},
		failing: map[string]bool{}, accesses: map[int64]*located{},
		users: map[*Access]int{}, shares: map[int64]*share{}}

	c.board = newBoard(c)
	c.sealer = newSealer(c)
	return c
}

// work runs one task after the other until no task is left.
func (c *crew) work(ctx context.Context) error {
	buffers := pack.NewBuffers(c.ReadAhead)
	for {
		task, err := c.board.nextTask(ctx)
		if err != nil || task == nil {
			return err
		}

		if err := task.run(ctx, c, buffers); err != nil {
			return err
		}
	}
}

// failed handles work that could not be done. Usually the work is given back, and the next worker that claims it
// tries again. If failed returns an error, this worker has to stop.
func (c *crew) failed(ctx context.Context, l *lease, what string, failure error) error {
	l.stop()
	failure = l.blame(failure)

	switch {
	case errors.Is(failure, sqlrepo.ErrLeaseLost):
		c.Log.Warn("lost the lease: another worker has taken over", "work", what)
		return nil
	case errors.Is(failure, sqlrepo.ErrUnavailable):
		return failure // the work can't be given back either
	case ctx.Err() != nil, isDatabase(failure):
		return errors.Join(failure, c.giveBack(ctx, l))
	case isHost(failure), isHopeless(failure) && !c.Roving:
		return c.skip(ctx, l, what, failure)
	}
	return c.retry(ctx, l, what, failure)
}

// retry gives work back for another attempt. After the last attempt it sets the work aside.
func (c *crew) retry(ctx context.Context, l *lease, what string, failure error) error {
	attempts := l.attempts + 1
	c.Log.Warn("work failed", "work", what, "attempt", attempts, "error", failure)

	// Work that can't succeed is not tried again.
	var err error
	if attempts >= int64(c.limits.MaxAttempts) || isHopeless(failure) {
		err = c.Repo.SetAside(ctx, l.unit, failure.Error())
	} else {
		err = c.Repo.Fail(ctx, l.unit, failure.Error(), pause(c.limits.Pause, attempts))
	}

	// The board does not know yet that the work was given back.
	c.board.refresh()
	if err != nil && !errors.Is(err, sqlrepo.ErrLeaseLost) {
		return errors.Join(failure, err)
	}

	if !c.allFails(what) {
		return nil
	}

	failure = fmt.Errorf("%s: nothing else succeeds either: %w", what, failure)
	return c.skip(ctx, l, what, failure)
}

// allFails reports whether so much different work failed in a row that this host must be the reason. Repeated
// failures of the same work say nothing about other work.
func (c *crew) allFails(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing[what] = true
	return len(c.failing) >= c.limits.atLeastTwo()
}

func (c *crew) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.failing)
}

// longestPause bounds the pause before failed work is tried again.
const longestPause = sqlrepo.LongestPause

func pause(first time.Duration, attempts int64) time.Duration {
	return min(first<<min(attempts-1, 20), longestPause)
}

// giveBackTimeout bounds how long a stopping worker tries to give its work back. The leases that it could not give
// back end by themselves.
const giveBackTimeout = 5 * time.Second

func (c *crew) giveBack(ctx context.Context, l *lease) error {
	if errors.Is(context.Cause(ctx), sqlrepo.ErrUnavailable) {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	if err := c.Repo.Release(ctx, l.unit); err != nil {
		c.Log.Debug("could not give work back", "error", err)
	}
	return nil
}
