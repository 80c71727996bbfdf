package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// An idle worker looks for work about once a second, and soon after it hears of a change.
const (
	lookEvery = time.Second
	lookSoon  = 25 * time.Millisecond
	// A roving worker frees now and then what dead processes of its host hold. A job did so when it began.
	releaseEvery = 10 * time.Second
)

// board holds what a worker knows about the work to be done.
type board struct {
	crew *crew
	mu   sync.Mutex
	open []sqlrepo.OpenUpload
	// looked is true once open was read. Each change of open closes changed.
	looked  bool
	changed chan struct{}
	waiting int
	// heard is set when another process made a change while nobody here waited for one.
	heard bool
	// version grows with each commit of this worker. Uploads read before a commit are out of date.
	version int
	// A signal on lookNow makes watch read the database. A signal on notifyNow makes listen notify other workers.
	lookNow, notifyNow chan struct{}
	taking             sync.Mutex
}

func newBoard(c *crew) *board {
	return &board{crew: c, open: slices.Clone(c.Known), looked: c.Known != nil, changed: make(chan struct{}),
		lookNow: make(chan struct{}, 1), notifyNow: make(chan struct{}, 1)}
}

// watch keeps the board up to date while somebody waits for a change.
func (b *board) watch(ctx context.Context) error {
	var released time.Time
	for {
		version := b.present()
		open, err := b.crew.Repo.OpenUploads(ctx, b.crew.Filter)
		if err == nil && b.crew.Roving && time.Since(released) >= releaseEvery {
			err = b.release(ctx, open)
			released = time.Now()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}

		// A commit of this worker came between: the uploads that were read are out of date.
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
			case <-b.lookNow:
				again = true
			case <-time.After(lookEvery + rand.N(lookEvery/4)):
				again = b.awaited()
			}
		}
	}
}

// release frees what dead processes of this host hold of the open uploads, and of files on their way to replicas.
func (b *board) release(ctx context.Context, open []sqlrepo.OpenUpload) error {
	err := leftovers.ReleaseThose(ctx, b.crew.Repo, open, b.crew.Log)
	if err != nil || b.crew.Sending == nil {
		return err
	}
	return leftovers.ReleaseSendings(ctx, b.crew.Repo, b.crew.Sending.Spaces, b.crew.Log)
}

func pauseFor(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// listen hears of the changes of other workers, if the database can notify, and notifies them of the changes made
// here.
func (b *board) listen(ctx context.Context) error {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() {
		if err := b.crew.Repo.Listen(ctx, b.hear); err != nil && ctx.Err() == nil {
			b.crew.Log.Debug("can't listen for changes", "error", err)
		}
	})

	for {
		select {
		case <-ctx.Done():
			b.notifyLast(ctx)
			return nil
		case <-b.notifyNow:
			b.notify(ctx)
		}
	}
}

// notify notifies other workers. It finishes even if ctx ends: others wait for what this worker does last, such as
// completing an upload, and would otherwise look again only after a while.
func (b *board) notify(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()

	if err := b.crew.Repo.Notify(ctx); err != nil {
		b.crew.Log.Debug("can't notify others of a change", "error", err)
	}
}

// notifyLast notifies other workers of a change that was made as the context ended.
func (b *board) notifyLast(ctx context.Context) {
	select {
	case <-b.notifyNow:
		b.notify(ctx)
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

// publish puts the uploads that were read on the board. It returns false, and changes nothing, if a commit of this
// worker came between.
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

// announce wakes everybody who waits for a change and shows the progress of the uploads. Its caller holds mu.
func (b *board) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
	b.crew.showProgress(b.open)
}

// hear makes the worker look at the database as soon as somebody waits for a change.
func (b *board) hear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = b.waiting == 0
	if !b.heard {
		b.refresh()
	}
}

// refresh makes the worker look at the database soon.
func (b *board) refresh() { signal(b.lookNow) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put notes the upload as a commit of this worker left it, and notifies other workers.
func (b *board) put(upload sqlrepo.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++

	// A complete or dropped upload is no longer open.
	b.open = slices.DeleteFunc(b.open, func(o sqlrepo.OpenUpload) bool {
		return o.ID == upload.ID && upload.Closed()
	})

	for i := range b.open {
		if o := &b.open[i]; o.ID == upload.ID {
			begins := upload.State == sqlrepo.Packing && o.State != sqlrepo.Packing
			o.Upload, o.Claimable = upload, upload.Token == 0 && upload.State != sqlrepo.Packing && !upload.Ended()

			// The first shard can be claimed before the database is looked at again.
			if begins {
				o.NextShard = &upload.Sealed
			}
		}
	}

	b.announce()
	signal(b.notifyNow)
}

// count notes an upload's state and tally as sealing a shard left them, and notifies other workers.
func (b *board) count(sealed *packedShard, after sqlrepo.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	b.crew.sealed(sealed)

	for i := range b.open {
		if o := &b.open[i]; o.ID == after.ID {
			o.State, o.Tally = after.State, after.Tally
			o.Claimable = o.Token == 0 && o.State != sqlrepo.Packing && !o.Ended()
		}
	}

	b.announce()
	signal(b.notifyNow)
}

// view returns the open uploads, whether they were read at all, and a channel that is closed at the next change.
func (b *board) view() ([]sqlrepo.OpenUpload, bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open), b.looked, b.changed
}

// wait returns when the board changes, when others is signaled, or when ctx ends.
func (b *board) wait(ctx context.Context, changed <-chan struct{}, signaled <-chan struct{}) {
	b.mu.Lock()
	b.waiting++

	// A change that was heard of while nobody waited is looked at now.
	if b.heard {
		b.heard = false
		b.refresh()
	}
	b.mu.Unlock()

	select {
	case <-ctx.Done():
	case <-changed:
	case <-signaled:
	}

	b.mu.Lock()
	b.waiting--
	b.mu.Unlock()
}

// nextTask returns the next task, and waits for one if necessary. It returns nil when no more work will come.
func (b *board) nextTask(ctx context.Context) (task, error) {
	for {
		next, ended, changed, err := b.claimFirst(ctx)
		if next != nil || ended || err != nil {
			return next, err
		}

		b.wait(ctx, changed, nil)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// claimFirst claims the first piece of work that can be claimed. Only one goroutine claims at a time: the others would
// try for the same work.
func (b *board) claimFirst(ctx context.Context) (next task, ended bool, changed <-chan struct{}, err error) {
	b.taking.Lock()
	defer b.taking.Unlock()

	open, looked, changed := b.view()
	if !looked {
		return nil, false, changed, ctx.Err()
	}

	b.crew.keepAccesses(open)
	ended = !b.crew.Standing
	var hidden error

	for _, upload := range open {
		if upload.Ended() {
			continue
		}

		access, err := b.crew.access(ctx, upload)
		if err != nil {
			hidden = err
			continue
		}

		ended = false
		next, err := b.claim(ctx, upload, access)
		if next == nil {
			b.crew.leave(access)
		}
		if next != nil || err != nil {
			return next, false, changed, err
		}
	}

	// An upload that this worker can't see is an error only if there is no other upload to work on.
	if ended {
		err = hidden
	}
	return nil, ended, changed, err
}

// claim claims the stage or the next shard of an upload. It returns nil if there is nothing to claim.
func (b *board) claim(ctx context.Context, upload sqlrepo.OpenUpload, access *Access) (task, error) {
	claim := b.crew.claim
	claim.Known = &upload.Upload
	if upload.Claimable {
		stage, err := b.crew.Repo.ClaimStage(ctx, claim, upload.ID)
		b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) { o.Claimable = false })
		if err == nil {
			return &stageTask{stage: stage, access: access}, nil
		}
		return nil, unlessTaken(err)
	}

	// The bound keeps a worker from packing far ahead of the sealing.
	below := b.crew.sealer.below(upload)
	if upload.NextShard == nil || *upload.NextShard >= below {
		return nil, nil
	}

	// A lease may have ended before this worker noticed: it must not claim its own shards again.
	claim.Except = b.crew.sealer.held()
	shard, err := b.crew.Repo.ClaimShard(ctx, claim, upload.ID, below)
	if err != nil {
		b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) { o.NextShard = nil })
		return nil, unlessTaken(err)
	}

	next := shard.Ordinal + 1
	b.claimed(upload.ID, func(o *sqlrepo.OpenUpload) {
		o.NextShard = &next
		b.crew.takePart(o)
		b.crew.showProgress(b.open)
	})
	b.crew.sealer.expect(shard)

	return &packTask{shard, access, upload.Upload}, nil
}

// unlessTaken returns nil for the error of a claim that others were quicker to make.
func unlessTaken(err error) error {
	if errors.Is(err, sqlrepo.ErrNothingToClaim) {
		return nil
	}
	return err
}

// claimed notes the effect of a claim until the database is looked at again.
func (b *board) claimed(upload int64, note func(*sqlrepo.OpenUpload)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.open {
		if b.open[i].ID == upload {
			note(&b.open[i])
		}
	}
}
