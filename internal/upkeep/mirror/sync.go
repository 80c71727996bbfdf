package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Replicas is the part of the repository that has the replicas.
type Replicas interface {
	trash.Repository
	Named(ctx context.Context, store string, digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need, error)
	UncopiedShards(ctx context.Context, origin, replica string) iter.Seq2[sqlrepo.Blob, error]
	UncopiedIndexes(ctx context.Context, origin, replica string) iter.Seq2[sqlrepo.Blob, error]
	LackingIn(ctx context.Context, origin, replica string) (sqlrepo.Replica, error)
	AddCopies(ctx context.Context, store string, digests []sqlrepo.Digest) (unneeded []sqlrepo.Digest, err error)
	leftovers.Copies
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
	Failed func(name string, err error)
	Counts *Counts
	// Progress may be nil.
	Progress *progress.Task
	// Others proves that other stores have the files that they need, before files that were removed from the origin
	// meanwhile are removed from the replica again.
	Others *trash.Others

	limit  *rate.Limiter
	mu     sync.Mutex
	proved []proved
	// removing protects Others.
	removing sync.Mutex
}

// proved is a file that the replica has.
type proved struct {
	sqlrepo.Blob
	name string
	// count is where it was counted.
	count *atomic.Int64
}

func (p proved) digest() sqlrepo.Digest { return sqlrepo.Digest(p.Digest) }

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

	s.Progress.Begin("listing the replica", "file")
	if err := s.forgetMissing(ctx); err != nil {
		return err
	}
	lacks, err := s.Repo.LackingIn(ctx, s.Origin, s.Replica)
	if err != nil {
		return err
	}
	s.Progress.Begin("sending", "file")
	s.Progress.Expect(lacks.Files, lacks.Bytes)

	// What was proved is recorded even if something else fails.
	err = s.files(ctx)
	_, recordErr := s.record(context.WithoutCancel(ctx), 1)
	if err := errors.Join(err, recordErr); err != nil {
		return err
	}

	if failed := s.Counts.Failed.Load(); failed > 0 {
		return fmt.Errorf("%w: %s not copied", delivery.ErrDiffers, progress.Count(failed, "file"))
	}
	return s.Repo.Synced(ctx, s.Replica, s.Origin)
}

// forgetMissing forgets the copies that the replica has lost, or all of them if they are to be verified.
func (s *Syncer) forgetMissing(ctx context.Context) error {
	if !s.Verify {
		return leftovers.ForgetMissing(ctx, s.Repo, s.To, s.Replica)
	}

	var all []sqlrepo.Digest
	for digest, err := range s.Repo.Copies(ctx, s.Replica) {
		if err != nil {
			return err
		}
		all = append(all, digest)
	}
	return s.Repo.ForgetCopies(ctx, s.Replica, all)
}

// files brings all files that the replica lacks there, several at a time, and records them.
func (s *Syncer) files(ctx context.Context) error {
	s.limit = rate.NewLimiter(rate.Inf, 0)
	if s.Limit > 0 {
		s.limit = rate.NewLimiter(rate.Limit(s.Limit), max(s.Limit, longestRead))
	}

	copying, running := errgroup.WithContext(ctx)
	copying.SetLimit(max(1, s.Workers))
	owner := leftovers.CopyOwner()

	err := s.eachLacking(running, func(name string, blob sqlrepo.Blob) {
		copying.Go(func() error { return s.file(running, owner, name, blob) })
	})
	if err := cmp.Or(copying.Wait(), err); err != nil { // a failed copy ends the listing
		return err
	}
	return s.settle(ctx, owner, 1)
}

// longestRead is the most that is read at once: the buffer of io.Copy.
const longestRead = 32 << 10

// eachLacking calls fn once with the name of each file that the replica lacks. Several uploads may have the same file.
func (s *Syncer) eachLacking(ctx context.Context, fn func(name string, blob sqlrepo.Blob)) error {
	seen := map[sqlrepo.Digest]bool{}
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
			if len(blob.Digest) != len(sqlrepo.Digest{}) || seen[sqlrepo.Digest(blob.Digest)] {
				continue
			}

			seen[sqlrepo.Digest(blob.Digest)] = true
			fn(kind.name([32]byte(blob.Digest)), blob)
		}
	}
	return nil
}

// file brings one file to the replica, unless it is there.
func (s *Syncer) file(ctx context.Context, owner, name string, blob sqlrepo.Blob) error {
	part := s.Progress.Part(name, blob.Size)
	defer part.End()
	copying := false
	copied, err := delivery.Deliver(ctx, delivery.Order{
		From: s.From, To: s.To, Owner: owner, Name: name, Digest: [32]byte(blob.Digest), Size: blob.Size,
		// What is sent was read before, and is counted then. Without a read, it is what the replica has already.
		Sent: func(n int64) {
			if !copying {
				part.Add(n)
			}
		},
		Read: func(n int64) {
			if !copying {
				copying = true
				part.Restart()
			}
			part.Add(n)
			s.Counts.Bytes.Add(n)
			_ = s.limit.WaitN(ctx, int(n)) // the copy itself notices that its context has ended
		},
	})
	if err == nil || errors.Is(err, delivery.ErrDiffers) || errors.Is(err, fs.ErrNotExist) {
		part.Done()
		s.Progress.Add(1, 0)
	}
	if errors.Is(err, delivery.ErrDiffers) || errors.Is(err, fs.ErrNotExist) {
		return s.failed(ctx, name, blob, err)
	}
	if err != nil {
		return err
	}

	there := proved{Blob: blob, name: name, count: &s.Counts.Skipped}
	if copied {
		there.count = &s.Counts.Copied
	}
	there.count.Add(1)
	s.mu.Lock()
	s.proved = append(s.proved, there)
	s.mu.Unlock()
	return s.settle(ctx, owner, recordedAtOnce)
}

// failed counts a file that could not be copied, unless it was removed because no upload needs it any longer.
func (s *Syncer) failed(ctx context.Context, name string, blob sqlrepo.Blob, failure error) error {
	digest := sqlrepo.Digest(blob.Digest)
	named, err := s.Repo.Named(ctx, s.Replica, []sqlrepo.Digest{digest})
	if err != nil || !named[digest].Here {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.Counts.Failed.Add(1)
	s.Failed(name, failure)
	return nil
}

// settle records the copies that were proved, if there are enough, and sends again what the replica has lost meanwhile.
func (s *Syncer) settle(ctx context.Context, owner string, enough int) error {
	for {
		lost, err := s.record(ctx, enough)
		if err != nil || len(lost) == 0 {
			return err
		}
		for _, file := range lost {
			s.Progress.Expect(1, file.Size)
			if err := s.file(ctx, owner, file.name, file.Blob); err != nil {
				return err
			}
		}
	}
}

// record records the copies that were proved, if there are enough. Files that are not needed any longer are removed
// from the replica again. Record returns the files that a removal has taken from it before they were needed again.
func (s *Syncer) record(ctx context.Context, enough int) (lost []proved, err error) {
	s.mu.Lock()
	var files []proved
	if len(s.proved) >= enough {
		files, s.proved = s.proved, nil
	}
	s.mu.Unlock()
	if len(files) == 0 {
		return nil, nil
	}

	unneeded, err := s.Repo.AddCopies(ctx, s.Replica, digests(files))
	if err != nil {
		return nil, err
	}

	var names []string
	for _, file := range files {
		if slices.Contains(unneeded, file.digest()) {
			file.count.Add(-1)
			names = append(names, file.name)
			continue
		}

		err := s.To.Confirm(ctx, file.name)
		if errors.Is(err, fs.ErrNotExist) {
			file.count.Add(-1)
			lost = append(lost, file)
		} else if err != nil {
			return nil, err
		}
	}
	return lost, errors.Join(s.Repo.ForgetCopies(ctx, s.Replica, digests(lost)), s.remove(ctx, names))
}

func digests(files []proved) (digests []sqlrepo.Digest) {
	for _, file := range files {
		digests = append(digests, file.digest())
	}
	return digests
}

// remove removes files from the replica that it does not need.
func (s *Syncer) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	spaces, err := s.Repo.Spaces(ctx)
	if err != nil || len(spaces) == 0 {
		return err // without a space nothing can be told from the files of another repository
	}

	s.removing.Lock()
	defer s.removing.Unlock()
	bin := trash.Bin{Repo: s.Repo, Store: s.To, Owner: trash.Owner(spaces[0]), Others: s.Others}
	_, err = bin.Remove(ctx, names)
	return err
}
