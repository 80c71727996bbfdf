package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Replicas is the part of the repository that has the replicas.
type Replicas interface {
	UncopiedShards(ctx context.Context, origin, replica string) iter.Seq2[sqlrepo.Blob, error]
	UncopiedIndexes(ctx context.Context, origin, replica string) iter.Seq2[sqlrepo.Blob, error]
	AddCopies(ctx context.Context, store string, digests []sqlrepo.Digest) error
	Copies(ctx context.Context, store string) iter.Seq2[sqlrepo.Digest, error]
	ForgetCopies(ctx context.Context, store string, digests []sqlrepo.Digest) error
	Synced(ctx context.Context, store, origin string) error
}

// Syncer brings a replica up to date with its origin: it gets all shards and indexes that uploads have there.
type Syncer struct {
	Repo Replicas
	// Origin and Replica are the identities of From and To.
	Origin, Replica string
	From, To        store.Store
	// Verify makes the syncer read what is known to be in the replica already.
	Verify bool
	// Workers is the number of files copied at the same time.
	Workers int
	// Limit is the most bytes a second that are read, 0 for no limit.
	Limit int
	// Failed is called with each file that could not be copied, from one goroutine at a time. The others are still
	// copied.
	Failed   func(name string, err error)
	Progress *Progress

	mu     sync.Mutex
	proved []sqlrepo.Digest
}

// recordedAtOnce is the number of copies after which they are recorded.
const recordedAtOnce = 100

// Run copies what the replica lacks. It reads what is there under the right name already, and replaces it if its
// bytes are wrong. It may be interrupted, and continues when it is run again. It returns delivery.ErrDiffers if some
// files were not copied: the origin does not have them, or has them damaged.
func (s *Syncer) Run(ctx context.Context) error {
	unfinished, err := leftovers.FilesOfCopies(ctx, s.To)
	if err != nil {
		return err
	}
	if _, err := leftovers.Discard(ctx, s.To, unfinished); err != nil {
		return err
	}

	if err := s.forgetMissing(ctx); err != nil {
		return err
	}

	// What was proved is recorded even if something else fails.
	err = s.files(ctx)
	err = errors.Join(err, s.record(context.WithoutCancel(ctx), 1))
	if err != nil {
		return err
	}

	if failed := s.Progress.Failed.Load(); failed > 0 {
		return fmt.Errorf("%w: %d files were not copied", delivery.ErrDiffers, failed)
	}
	return s.Repo.Synced(ctx, s.Replica, s.Origin)
}

// forgetMissing forgets the copies that the replica has lost, or all of them if they are to be verified.
func (s *Syncer) forgetMissing(ctx context.Context) error {
	there := map[sqlrepo.Digest]bool{}
	for blob, err := range s.To.Committed(ctx) {
		if err != nil {
			return err
		}
		if digest, ok := trash.ParseName(blob.Name); ok {
			there[digest] = true
		}
	}

	var gone []sqlrepo.Digest
	for digest, err := range s.Repo.Copies(ctx, s.Replica) {
		if err != nil {
			return err
		}
		if s.Verify || !there[digest] {
			gone = append(gone, digest)
		}
	}
	return s.Repo.ForgetCopies(ctx, s.Replica, gone)
}

// files brings all files that the replica lacks there, several at a time.
func (s *Syncer) files(ctx context.Context) error {
	limit := rate.NewLimiter(rate.Inf, 0)
	if s.Limit > 0 {
		limit = rate.NewLimiter(rate.Limit(s.Limit), max(s.Limit, longestRead))
	}

	copying, ctx := errgroup.WithContext(ctx)
	copying.SetLimit(max(1, s.Workers))
	owner := leftovers.CopyOwner()

	err := s.eachLacking(ctx, func(name string, blob sqlrepo.Blob) {
		copying.Go(func() error { return s.file(ctx, owner, name, blob, limit) })
	})
	return errors.Join(copying.Wait(), err)
}

// longestRead is the most that is read at once: the buffer of io.Copy.
const longestRead = 32 << 10

// eachLacking calls fn with the name of each file that the replica lacks.
func (s *Syncer) eachLacking(ctx context.Context, fn func(name string, blob sqlrepo.Blob)) error {
	for _, kind := range []struct {
		blobs iter.Seq2[sqlrepo.Blob, error]
		name  func([32]byte) string
	}{
		{s.Repo.UncopiedShards(ctx, s.Origin, s.Replica), shard.Name},
		{s.Repo.UncopiedIndexes(ctx, s.Origin, s.Replica), blobindex.Name},
	} {
		for blob, err := range kind.blobs {
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if len(blob.Digest) == len(sqlrepo.Digest{}) {
				fn(kind.name([32]byte(blob.Digest)), blob)
			}
		}
	}
	return nil
}

// file brings one file to the replica, unless it is there.
func (s *Syncer) file(ctx context.Context, owner, name string, blob sqlrepo.Blob, limit *rate.Limiter) error {
	copied, err := delivery.Deliver(ctx, delivery.Order{
		From: s.From, To: s.To, Owner: owner, Name: name, Digest: [32]byte(blob.Digest), Size: blob.Size,
		Read: func(n int64) {
			s.Progress.Bytes.Add(n)
			_ = limit.WaitN(ctx, int(n)) // the copy itself notices that its context has ended
		},
	})
	switch {
	case errors.Is(err, delivery.ErrDiffers) || errors.Is(err, fs.ErrNotExist):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.Progress.Failed.Add(1)
		s.Failed(name, err)
		return nil
	case err != nil:
		return err
	case copied:
		s.Progress.Copied.Add(1)
	default:
		s.Progress.Skipped.Add(1)
	}

	s.mu.Lock()
	s.proved = append(s.proved, sqlrepo.Digest(blob.Digest))
	s.mu.Unlock()
	return s.record(ctx, recordedAtOnce)
}

// record records the copies that were proved, if there are enough.
func (s *Syncer) record(ctx context.Context, enough int) error {
	s.mu.Lock()
	var proved []sqlrepo.Digest
	if len(s.proved) >= enough {
		proved, s.proved = s.proved, nil
	}
	s.mu.Unlock()

	if len(proved) == 0 {
		return nil
	}
	return s.Repo.AddCopies(ctx, s.Replica, proved)
}
