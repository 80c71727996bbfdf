package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// A worker without work looks for some about once a second, and soon when it hears of a change.
const (
	lookEvery = time.Second
	lookSoon  = 25 * time.Millisecond
)

// board is what a worker knows of the work that there is.
type board struct {
	crew *crew
	mu   sync.Mutex
	open []sqlrepo.OpenUpload
	// looked tells that open was read at all; changed is closed with each change of it.
	looked  bool
	changed chan struct{}
	waiting int
	// heard is set when others made a change while nobody waited for one.
	heard bool
	// version grows with each commit of this worker: what was read of the database before that is out of date.
	version int
	// look is filled to have the database looked at now, told to have others hear of a change.
	look, told chan struct{}
	taking     sync.Mutex
}

func newBoard(c *crew) *board {
	return &board{crew: c, open: slices.Clone(c.Known), looked: c.Known != nil, changed: make(chan struct{}),
		look: make(chan struct{}, 1), told: make(chan struct{}, 1)}
}

// watch keeps the board up to date while somebody waits for a change.
func (b *board) watch(ctx context.Context) error {
	for {
		version := b.present()
		open, err := b.crew.Repo.OpenUploads(ctx, b.crew.Filter)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !b.publish(open, version) {
			continue
		}
		if !pauseFor(ctx, lookSoon) {
			return nil
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return nil
			case <-b.look:
				again = true
			case <-time.After(lookEvery + rand.N(lookEvery/4)):
				again = b.awaited()
			}
		}
	}
}

func pauseFor(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// listen hears of changes that others make, where the database can tell, and tells others of those made here.
func (b *board) listen(ctx context.Context) error {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() {
		if err := b.crew.Repo.Listen(ctx, b.hear); err != nil && ctx.Err() == nil {
			b.crew.Log.Debug("does not hear of changes", "error", err)
		}
	})
	for {
		select {
		case <-ctx.Done():
			b.tellLast(ctx)
			return nil
		case <-b.told:
			b.tell(ctx)
		}
	}
}

// tell takes its time even when ctx ends: what this worker does last, such as to complete an upload, is what others
// wait for, and they would only look again after a while.
func (b *board) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	if err := b.crew.Repo.Notify(ctx); err != nil {
		b.crew.Log.Debug("others do not hear of a change", "error", err)
	}
}

// tellLast tells of a change that came with the end.
func (b *board) tellLast(ctx context.Context) {
	select {
	case <-b.told:
		b.tell(ctx)
	default:
	}
}

func (b *board) awaited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting > 0
}

func (b *board) present() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version
}

// publish takes over what was read, unless a commit of this worker came between.
func (b *board) publish(open []sqlrepo.OpenUpload, version int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if version != b.version {
		return false
	}
	b.open, b.looked = open, true
	b.announce()
	return true
}

// announce is called with mu held.
func (b *board) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
	for i := range b.open {
		b.crew.show(&b.open[i])
	}
}

// hear has the database looked at as soon as somebody waits for a change.
func (b *board) hear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = b.waiting == 0
	if !b.heard {
		b.refresh()
	}
}

// refresh has the database looked at soon.
func (b *board) refresh() { signal(b.look) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put takes over what a commit of this worker has made of an upload, and tells others.
func (b *board) put(upload sqlrepo.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	b.open = slices.DeleteFunc(b.open, func(o sqlrepo.OpenUpload) bool {
		return o.ID == upload.ID && upload.State == sqlrepo.Complete
	})
	for i := range b.open {
		if o := &b.open[i]; o.ID == upload.ID {
			begins := upload.State == sqlrepo.Packing && o.State != sqlrepo.Packing
			o.Upload, o.Claimable = upload, upload.Token == 0 && upload.State != sqlrepo.Packing && !upload.Ended()
			if begins {
				o.NextShard = &upload.Sealed
			}
		}
	}
	b.announce()
	signal(b.told)
}

// count takes over what sealing a shard has made of an upload's state and tally, and tells others.
func (b *board) count(after sqlrepo.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	for i := range b.open {
		if o := &b.open[i]; o.ID == after.ID {
			o.State, o.Tally = after.State, after.Tally
			o.Claimable = o.Token == 0 && o.State != sqlrepo.Packing && !o.Ended()
		}
	}
	b.announce()
	signal(b.told)
}

// view is the present state of the board, and a channel that is closed with the next.
func (b *board) view() ([]sqlrepo.OpenUpload, bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open), b.looked, b.changed
}

// wait waits for a change of the board.
func (b *board) wait(ctx context.Context, changed <-chan struct{}, others <-chan struct{}) {
	b.mu.Lock()
	b.waiting++
	if b.heard {
		b.heard = false
		b.refresh()
	}
	b.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-others:
	}
	b.mu.Lock()
	b.waiting--
	b.mu.Unlock()
}

// take returns the next task, waiting for one if need be; nil when there will be none.
func (b *board) take(ctx context.Context) (task, error) {
	for {
		next, ended, changed, err := b.try(ctx)
		if next != nil || ended || err != nil {
			return next, err
		}
		b.wait(ctx, changed, nil)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// try claims the first thing that can be. One at a time does so: the others would try for the same.
func (b *board) try(ctx context.Context) (next task, ended bool, changed <-chan struct{}, err error) {
	b.taking.Lock()
	defer b.taking.Unlock()
	open, looked, changed := b.view()
	if !looked {
		return nil, false, changed, ctx.Err()
	}
	b.crew.keepSites(open)
	ended = !b.crew.Standing
	var hidden error
	for _, upload := range open {
		if upload.Ended() {
			continue
		}
		site, err := b.crew.site(ctx, upload)
		if err != nil {
			hidden = err
			continue
		}
		ended = false
		next, err := b.claim(ctx, upload, site)
		if next == nil {
			b.crew.leave(site)
		}
		if next != nil || err != nil {
			return next, false, changed, err
		}
	}
	if ended {
		err = hidden
	}
	return nil, ended, changed, err
}

func (b *board) claim(ctx context.Context, upload sqlrepo.OpenUpload, site *Site) (task, error) {
	if upload.Claimable {
		stage, err := b.crew.Repo.ClaimStage(ctx, b.crew.claim, upload.ID)
		b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) { o.Claimable = false })
		if err == nil {
			return &stageTask{stage: stage, site: site}, nil
		}
		return nil, unlessTaken(err)
	}
	below := b.crew.sealer.below(upload)
	if upload.NextShard == nil || *upload.NextShard >= below {
		return nil, nil
	}
	claim := b.crew.claim
	claim.Except = b.crew.sealer.held()
	shard, err := b.crew.Repo.ClaimShard(ctx, claim, upload.ID, below)
	if err != nil {
		b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) { o.NextShard = nil })
		return nil, unlessTaken(err)
	}
	next := shard.Ordinal + 1
	b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) { o.NextShard = &next })
	b.crew.sealer.expect(shard)
	return &packTask{shard, site, upload.Upload}, nil
}

// unlessTaken is nil when others were quicker.
func unlessTaken(err error) error {
	if errors.Is(err, sqlrepo.ErrNothingToClaim) {
		return nil
	}
	return err
}

// claimed notes what a claim has changed, until the database is looked at again.
func (b *board) claimed(upload int64, note func(*sqlrepo.OpenUpload)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.open {
		if b.open[i].ID == upload {
			note(&b.open[i])
		}
	}
}
