package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// sealer seals the shards that this worker has packed. A shard's turn comes when all earlier shards of its upload
// are sealed.
type sealer struct {
	crew *crew
	mu   sync.Mutex
	// unsealed holds the shards that this worker has claimed and not sealed. packed holds the ones that wait for
	// their turn. Both are keyed by the claim's token: a shard whose lease has ended may be claimed again before the
	// loss is noticed.
	unsealed map[int64]int64
	packed   map[int64]*packedShard
	// busy holds the uploads that have a shard being sealed.
	busy map[int64]bool
	// revisions holds the revision of each space as this worker left it.
	revisions map[int64]int64
	more      chan struct{}
}

// packedShard is a packed shard under a lease that is kept until the shard is sealed.
type packedShard struct {
	*pack.Packed
	shard  sqlrepo.Shard
	lease  *lease
	within sqlrepo.Scope
}

// scopeOf returns the scope in which content counts as held for an upload. If no store keeps the content, each
// upload has a scope of its own, so that it can be made again from its own source and paths.
func scopeOf(access *Access, upload sqlrepo.Upload) sqlrepo.Scope {
	scope := sqlrepo.Scope{Space: access.Space.ID, Store: upload.Store}
	if upload.Store == store.NoneIdentity {
		scope.Upload = upload.ID
	}
	return scope
}

func (p *packedShard) String() string {
	return fmt.Sprintf("shard %d of upload %d", p.shard.Ordinal, p.shard.Upload)
}

func newSealer(c *crew) *sealer {
	return &sealer{
		crew: c, unsealed: map[int64]int64{}, packed: map[int64]*packedShard{}, busy: map[int64]bool{},
		revisions: map[int64]int64{},
		more:      make(chan struct{}, 1),
	}
}

// below returns a bound for the ordinals that may be claimed now. A worker that has enough unsealed shards claims
// only the shard that all others wait for.
func (s *sealer) below(upload sqlrepo.OpenUpload) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unsealed) < s.crew.Workers*s.crew.limits.RunAhead {
		return math.MaxInt64
	}
	return upload.Sealed + 1
}

// expect counts a claimed shard as unsealed.
func (s *sealer) expect(shard sqlrepo.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsealed[shard.Token] = shard.ID
}

// forget stops counting a shard.
func (s *sealer) forget(shard sqlrepo.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unsealed, shard.Token)
	delete(s.packed, shard.Token)
}

// lost makes a shard claimable again, for this worker too: the call that hangs in it may never return.
func (s *sealer) lost(unit sqlrepo.Unit) {
	if shard, ok := unit.(sqlrepo.Shard); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.unsealed, shard.Token)
	}
}

// add takes over a packed shard and its lease.
func (s *sealer) add(p *packedShard) {
	s.mu.Lock()
	s.packed[p.shard.Token] = p
	s.mu.Unlock()

	p.lease.waits.Store(true)
	context.AfterFunc(p.lease.ctx, func() { signal(s.more) })
	signal(s.more)
}

// held returns the keys of the shards that this worker has claimed.
func (s *sealer) held() (ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.unsealed {
		ids = append(ids, id)
	}
	return ids
}

// run seals shards until ctx ends, one of each upload at a time. A store that hangs delays only its own uploads.
func (s *sealer) run(ctx context.Context) error {
	seals, ctx := errgroup.WithContext(ctx)
	for ctx.Err() == nil {
		open, _, changed := s.crew.board.view()
		next, waiting := s.next(open)

		switch {
		case next != nil:
			seals.Go(func() error {
				defer s.sealed(next)
				return s.seal(ctx, next)
			})
		case waiting:
			s.crew.board.wait(ctx, changed, s.more)
		default:
			select {
			case <-ctx.Done():
			case <-s.more:
			}
		}
	}
	return seals.Wait()
}

// next takes a shard whose turn has come or whose lease is lost. If there is none, waiting reports whether other
// shards are packed.
func (s *sealer) next(open []sqlrepo.OpenUpload) (next *packedShard, waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	turn := map[int64]int64{}
	for _, upload := range open {
		if upload.State == sqlrepo.Packing && !s.busy[upload.ID] {
			turn[upload.ID] = upload.Sealed
		}
	}

	for token, p := range s.packed {
		sealed, isOpen := turn[p.shard.Upload]
		if p.lease.ctx.Err() != nil && !s.busy[p.shard.Upload] || isOpen && sealed == p.shard.Ordinal {
			s.busy[p.shard.Upload] = true
			delete(s.packed, token)
			return p, true
		}
	}
	return nil, len(s.packed) > 0
}

// sealed gives the next shard of the upload its turn.
func (s *sealer) sealed(p *packedShard) {
	s.mu.Lock()
	delete(s.busy, p.shard.Upload)
	delete(s.unsealed, p.shard.Token)
	s.mu.Unlock()
	signal(s.more)
}

// seal stores a shard without the blocks that the space already holds.
func (s *sealer) seal(ctx context.Context, p *packedShard) error {
	p.lease.waits.Store(false)
	var after sqlrepo.Upload

	// What was packed under a lost lease must not be sealed.
	err := context.Cause(p.lease.ctx)
	if err == nil {
		after, err = s.store(p)
	}

	if err != nil {
		return s.crew.failed(ctx, p.lease, p.String(), errors.Join(err, p.Abort()))
	}

	p.lease.stop()
	s.crew.succeeded()
	s.crew.board.count(p, after)
	return nil
}

// store saves the shard in the store and the repository, and remembers the space's new revision.
func (s *sealer) store(p *packedShard) (after sqlrepo.Upload, err error) {
	space, ctx := p.within.Space, p.lease.ctx

	var packed *sqlrepo.PackedShard
	revision, err := shard.Seal(ctx, s.crew.Repo, shard.Sealing{
		Within: p.within, Revision: s.revision(space), Draft: p.Draft, Sent: p.lease.sent,
		Work: func(rest *shard.Draft) sqlrepo.Sealable {
			p.lease.progress(1)
			packed = &sqlrepo.PackedShard{
				Shard: p.Shard, Digests: p.digests(), Nodes: rest.Nodes(), TakenOut: p.TakenOut,
			}
			rest.Describe(&packed.Shard)
			return packed
		},
	})
	if err == nil {
		after = packed.After
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.revisions[space] = revision
	return after, err
}

// revision returns the revision of a space as this worker left it, or shard.Unknown.
func (s *sealer) revision(space int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision, known := s.revisions[space]; known {
		return revision
	}
	return shard.Unknown
}

// abort discards the shards that were not sealed and gives them back. It is called when nobody packs or seals any
// longer.
func (s *sealer) abort(ctx context.Context) (err error) {
	var giving sync.WaitGroup
	defer giving.Wait()
	for _, p := range s.packed {
		p.lease.stop()
		err = errors.Join(err, p.Abort())
		giving.Go(func() { _ = s.crew.giveBack(ctx, p.lease) }) // its failures are logged
	}
	return err
}
