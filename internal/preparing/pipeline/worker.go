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
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Limits are the rules by which workers share work. Zero values stand for the defaults.
type Limits struct {
	// Lease is how long work stays with a worker that is not heard of.
	Lease time.Duration
	// StallTimeout is how long work stays with a worker that makes no progress.
	StallTimeout time.Duration
	// MaxAttempts is how often work may fail before it is set aside, and how many failures in a row, two at
	// least, stop a worker.
	MaxAttempts int
	// RunAhead is how many shards that are not sealed yet each of the Workers may have.
	RunAhead int
	// Pause is the shortest time before failed work is tried again; it doubles with each attempt.
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

// atLeastTwo is MaxAttempts where a single failure must not decide.
func (l Limits) atLeastTwo() int { return max(l.MaxAttempts, 2) }

func set[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

// Site is where a worker finds what an upload needs.
type Site struct {
	Space sqlrepo.Space
	Store store.Store
	FS    source.FS
	// Root is where the source lies on this host.
	Root string
	// Held, if not nil, is what FS reads the source through, and what the repository remembers of it. A roving worker
	// closes it when nothing needs it any more.
	Held *source.Held
}

// Worker takes what work there is for unfinished uploads, beside any number of others.
type Worker struct {
	Repo *sqlrepo.Repository
	// Filter narrows the uploads that it works on.
	Filter sqlrepo.OpenFilter
	// Known are unfinished uploads that were looked at a moment ago: work on them begins before the database is asked
	// again.
	Known []sqlrepo.OpenUpload
	// Locate finds the site of an upload. It returns store.ErrOutOfSight when this worker can't work on it.
	Locate func(ctx context.Context, upload sqlrepo.OpenUpload) (*Site, error)
	// Completed, if any, is called with each upload that this worker completes.
	Completed func(upload sqlrepo.Upload)
	// Standing workers stay when all work is done, until their context ends.
	Standing bool
	// Roving workers go on with other uploads when one gets out of their sight or fails again and again.
	Roving bool
	// Workers is how many shards are packed side by side, ReadAhead how many reads are under way for each.
	Workers, ReadAhead int
	Limits             Limits
	TempDir            string
	Progress           *progress.Counters
	Log                *slog.Logger
}

// Run works until nothing is left that it can do, by itself or with others, or, if it is Standing, until ctx ends. It
// returns the error of work that fails for reasons which would have other work fail too: the database is away for too
// long, the store is full, work fails again and again. It gives back what it has not done.
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
	group.Go(func() error {
		hands.Wait()
		stop()
		return nil
	})
	err := group.Wait()
	c.keepSites(nil)
	return errors.Join(err, c.sealer.abort(ctx))
}

// crew is a worker at work.
type crew struct {
	*Worker
	limits Limits
	claim  sqlrepo.Claim
	board  *board
	sealer *sealer

	mu sync.Mutex
	// failing is the work that has failed since some last succeeded.
	failing map[string]bool
	sites   map[int64]*located
	// users is how many use a site.
	users map[*Site]int
	// own is guarded by the board.
	own map[int64]packedContent
}

func newCrew(w *Worker) *crew {
	limits := w.Limits.withDefaults()
	c := &crew{Worker: w, limits: limits, claim: sqlrepo.Claim{Worker: presence.Name(), Term: limits.Lease},
		failing: map[string]bool{}, sites: map[int64]*located{}, users: map[*Site]int{}, own: map[int64]packedContent{}}
	c.board = newBoard(c)
	c.sealer = newSealer(c)
	return c
}

// work takes one task after the other, until there are none.
func (c *crew) work(ctx context.Context) error {
	buffers := pack.NewBuffers(c.ReadAhead)
	for {
		task, err := c.board.take(ctx)
		if err != nil || task == nil {
			return err
		}
		if err := task.run(ctx, c, buffers); err != nil {
			return err
		}
	}
}

// failed deals with work that could not be done: it is given back, and tried again by whoever claims it next. An error
// is one that has this worker stop.
func (c *crew) failed(ctx context.Context, l *lease, what string, failure error) error {
	l.stop()
	failure = l.blame(failure)
	switch {
	case errors.Is(failure, sqlrepo.ErrLeaseLost):
		c.Log.Warn("lost the lease: others have taken over", "work", what)
		return nil
	case errors.Is(failure, sqlrepo.ErrUnavailable):
		return failure // nor could the work be given back
	case ctx.Err() != nil, isDatabase(failure):
		return errors.Join(failure, c.giveBack(ctx, l))
	case isHost(failure), isHopeless(failure) && !c.Roving:
		return c.outOfSight(ctx, l, what, failure)
	}
	return c.retry(ctx, l, what, failure)
}

// retry gives back work for another attempt, or sets it aside after the last.
func (c *crew) retry(ctx context.Context, l *lease, what string, failure error) error {
	attempts := l.attempts + 1
	c.Log.Warn("work failed", "work", what, "attempt", attempts, "error", failure)
	var err error
	if attempts >= int64(c.limits.MaxAttempts) || isHopeless(failure) {
		err = c.Repo.SetAside(ctx, l.unit, failure.Error())
	} else {
		err = c.Repo.Fail(ctx, l.unit, failure.Error(), pause(c.limits.Pause, attempts))
	}
	c.board.refresh()
	if err != nil && !errors.Is(err, sqlrepo.ErrLeaseLost) {
		return errors.Join(failure, err)
	}
	if !c.allFails(what) {
		return nil
	}
	failure = fmt.Errorf("%s: nothing else succeeds either: %w", what, failure)
	return c.outOfSight(ctx, l, what, failure)
}

// allFails tells whether so much different work has failed in a row that the reason has to be this host. That one thing
// fails says nothing about others, however few attempts each has.
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

// longestPause bounds the time before failed work is tried again.
const longestPause = sqlrepo.LongestPause

func pause(first time.Duration, attempts int64) time.Duration {
	return min(first<<min(attempts-1, 20), longestPause)
}

// giveBackTimeout bounds how long a worker that stops tries to give its work back. Leases that it keeps end by
// themselves.
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
