package blocks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Present reports for each block whether a shard has it, as far as that is known without reading the block: the
// repository has a place, and the shard's bytes reach that far. Otherwise err is ErrNotFound, with a place
// without a shard, or a *BlockError. Present ends with an error of the repository or of use.
func (s *Source) Present(ctx context.Context, cids []cid.Cid,
	use func(i int, place sqlrepo.Place, err error) error) error {
	places, err := s.Find(ctx, cids)
	if err != nil {
		return err
	}

	for i, place := range places {
		var missing error
		if _, ok := inline(cids[i]); !ok {
			place, missing = s.present(ctx, cids[i], place)
		}

		if isFinal(ctx, missing) || errors.Is(missing, ErrUnreachable) {
			return missing
		}

		if err := use(i, place, missing); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) present(ctx context.Context, c cid.Cid, place sqlrepo.Place) (sqlrepo.Place, error) {
	if place.Shard == 0 {
		return place, fmt.Errorf("%w: %s", ErrNotFound, c)
	}

	err := s.reaches(ctx, place)
	if err == nil || isFinal(ctx, err) {
		return place, err
	}

	// Another place may have the block, or the same one if its file has been replaced.
	s.forget(place.Shard)
	places, failed := s.repo.FindBlocks(ctx, s.space, []sqlrepo.Digest{place.Digest})
	if failed != nil {
		return place, repositoryError{failed}
	}

	for _, other := range places {
		failed := s.reaches(ctx, other)
		if failed == nil {
			return other, nil
		}

		if isFinal(ctx, failed) {
			return other, failed
		}
	}
	return place, s.withAway(ctx, s.failure(ctx, c, place, err))
}

// reaches returns an error unless a shard has enough bytes to hold a block, and as many as the repository says.
func (s *Source) reaches(ctx context.Context, place sqlrepo.Place) error {
	return s.handles.use(ctx, place.Shard, s.opener(ctx, place.Shard), func(h *handle) error {
		if endOf(place) > h.shard.Size {
			return fmt.Errorf("the shard ends at %d: %w", h.shard.Size, io.ErrUnexpectedEOF)
		}

		// The last byte would first have to be made again.
		if h.shard.Store == store.NoneIdentity {
			return nil
		}

		return h.whole.check(func() error {
			err := isWhole(ctx, h.shard, h.reading)
			if err != nil && !isFinal(ctx, err) && s.hasCopy(ctx, h.shard) {
				return nil
			}
			return err
		})
	})
}

// isWhole returns an error unless a shard has as many bytes as the repository says.
func isWhole(ctx context.Context, shard sqlrepo.Shard, reading store.Reading) error {
	n, err := reading.ReadAt(ctx, make([]byte, 1), shard.Size-1)
	if n == 1 {
		return nil
	}

	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("the shard has less than %d bytes: %w", shard.Size, io.ErrUnexpectedEOF)
	}
	return err
}

// hasCopy reports whether a shard has all its bytes in another place.
func (s *Source) hasCopy(ctx context.Context, shard sqlrepo.Shard) bool {
	shards, copied := s.shards.(CopiedShards)
	if !copied {
		return false
	}
	for reading := range shards.Copies(ctx, shard) {
		err := isWhole(ctx, shard, reading)
		_ = reading.Close() // nothing was written
		if err == nil {
			return true
		}
	}
	return false
}

// onceWell is a check that is not repeated after it has succeeded.
type onceWell struct {
	mu   sync.Mutex
	well bool
}

func (o *onceWell) check(does func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.well {
		return nil
	}

	err := does()
	o.well = err == nil
	return err
}
