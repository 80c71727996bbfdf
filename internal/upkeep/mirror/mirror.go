// Package mirror copies a store to another one.
package mirror

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
)

var (
	// ErrNoStore is returned for a place that has no store to copy, or can't hold one.
	ErrNoStore = errors.New("not a store that can be copied")
	// ErrOther is returned when the target has the identity of another store.
	ErrOther = errors.New("the target is another store")
	// ErrForeign is returned when the target is not a store yet, and has files that no copy has put there.
	ErrForeign = errors.New("the target has other files")
)

// Copier copies the shards and indexes of a store, and finally its identity.
type Copier struct {
	From, To store.Store
	// Verify makes the copier read blobs that are in the target already. Without it, only their lengths are
	// compared.
	Verify bool
	// Workers is the number of blobs copied at the same time.
	Workers int
	// Failed is called with each blob that could not be copied, from one goroutine at a time. The other blobs are
	// still copied.
	Failed func(name string, err error)
	Counts *Counts
	// Progress may be nil.
	Progress *progress.Task
}

// Counts count the files that were dealt with so far, and the bytes that were read of the source.
type Counts struct{ Copied, Skipped, Ignored, Failed, Bytes atomic.Int64 }

// Run copies the blobs that the target does not have. It may be run again after an interruption, and later for new
// blobs. It replaces no blob of the target. The target gets the identity of the source once it has all blobs. Run
// returns ErrNoStore, ErrOther, ErrForeign, or delivery.ErrDiffers if some blobs were not copied.
func (c *Copier) Run(ctx context.Context) error {
	identity, err := c.identity(ctx)
	if err != nil {
		return err
	}
	if err := c.tidy(ctx); err != nil {
		return err
	}

	if err := c.expect(ctx); err != nil {
		return err
	}
	if err := c.blobs(ctx); err != nil {
		return err
	}
	if failed := c.Counts.Failed.Load(); failed > 0 {
		return fmt.Errorf("%w: %s not copied; the copy gets its identity when it has all of them", delivery.ErrDiffers,
			progress.Count(failed, "blob"))
	}

	// The identity comes last: a store with an identity counts as complete.
	marker, err := c.To.Marker(ctx)
	if err != nil || marker == identity {
		return err
	}
	return c.To.Mark(ctx, identity)
}

// identity returns the identity of the source, which the target has or may get.
func (c *Copier) identity(ctx context.Context) (string, error) {
	identity, err := c.From.Marker(ctx)
	if err != nil {
		return "", err
	}

	marker, err := c.To.Marker(ctx)
	switch {
	case err != nil:
		return "", err
	case identity == store.NoneIdentity, marker == store.NoneIdentity:
		return "", fmt.Errorf("%w: %s keeps no bytes", ErrNoStore, store.NoneURL)
	case identity == "":
		return "", fmt.Errorf("%w: the source has no marker: it was never a store, or has lost its marker",
			ErrNoStore)
	case marker != "" && marker != identity:
		return "", fmt.Errorf("%w: the source is %s, and the target is %s", ErrOther, identity, marker)
	case marker == "":
		return identity, c.foreign(ctx)
	}
	return identity, nil
}

// foreign returns ErrForeign unless the target is empty or only has files of an interrupted copy.
func (c *Copier) foreign(ctx context.Context) error {
	for blob, err := range c.To.Committed(ctx) {
		if err != nil {
			return err
		}
		name, _ := store.CutAside(blob.Name)
		if _, ok := trash.ParseName(name); !ok {
			return fmt.Errorf("%w, such as %q, and is not a store yet: name an empty place, or remove them",
				ErrForeign, blob.Name)
		}
	}
	return nil
}

// expect finds out how much there is to copy. Listing a store takes little time compared with copying it.
func (c *Copier) expect(ctx context.Context) error {
	c.Progress.Begin("listing", "file")
	var files, bytes int64
	for blob, err := range c.sources(ctx) {
		if err != nil {
			return err
		}
		if _, ok := trash.ParseName(blob.Name); ok {
			files++
			bytes += blob.Size
			c.Progress.Add(1, 0)
		}
	}

	c.Progress.Begin("copying", "file")
	c.Progress.Expect(files, bytes)
	return nil
}

// blobs copies the files whose names are those of blobs, several at a time.
func (c *Copier) blobs(ctx context.Context) error {
	copying, ctx := errgroup.WithContext(ctx)
	copying.SetLimit(max(1, c.Workers))
	owner := leftovers.CopyOwner()
	var telling sync.Mutex
	for blob, err := range c.sources(ctx) {
		if err != nil {
			return cmp.Or(copying.Wait(), err) // a failed copy ends the listing
		}

		digest, ok := trash.ParseName(blob.Name)
		if !ok {
			c.Counts.Ignored.Add(1)
			continue
		}
		if ctx.Err() != nil {
			break
		}

		copying.Go(func() error {
			part := c.Progress.Part(blob.Name, blob.Size)
			defer part.End()
			err := c.blob(ctx, owner, blob, digest, part)
			if err == nil || errors.Is(err, delivery.ErrDiffers) {
				part.Done()
				c.Progress.Add(1, 0)
			}
			if !errors.Is(err, delivery.ErrDiffers) {
				return err
			}

			// A damaged blob does not end the copy: the others are copied all the same.
			telling.Lock()
			defer telling.Unlock()
			c.Counts.Failed.Add(1)
			c.Failed(blob.Name, err)
			return nil
		})
	}
	return copying.Wait()
}

// sources yields the committed blobs and those in the trash: an interrupted removal may have put a blob there that a
// row names.
func (c *Copier) sources(ctx context.Context) iter.Seq2[store.Committed, error] {
	return func(yield func(store.Committed, error) bool) {
		for blob, err := range c.From.Committed(ctx) {
			if !yield(blob, err) || err != nil {
				return
			}
		}

		trashed, err := c.From.Trashed(ctx, "")
		if err != nil {
			yield(store.Committed{}, err)
			return
		}

		for _, blob := range trashed {
			// The removal may end meanwhile.
			size, err := c.From.Size(ctx, blob.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(store.Committed{Name: blob.Name, Size: size}, err) || err != nil {
				return
			}
		}
	}
}

func (c *Copier) blob(ctx context.Context, owner string, blob store.Committed, digest [sha256.Size]byte,
	part *progress.Part) error {
	present, err := c.isThere(ctx, blob, digest, part)
	if err != nil {
		return err
	}
	if present {
		c.Counts.Skipped.Add(1)
		return nil
	}
	read := func(n int64) {
		c.Counts.Bytes.Add(n)
		part.Add(n)
	}
	if err := delivery.Copy(ctx, c.From, c.To, owner, blob.Name, digest, read); err != nil {
		return err
	}
	c.Counts.Copied.Add(1)
	return nil
}

// isThere reports whether the target has a blob. It returns delivery.ErrDiffers if the target has other bytes under the
// name.
func (c *Copier) isThere(ctx context.Context, blob store.Committed, digest [sha256.Size]byte,
	part *progress.Part) (bool, error) {
	size, err := c.To.Size(ctx, blob.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case size != blob.Size:
		return false, fmt.Errorf("%w: it has %d bytes in the source, but %d in the target", delivery.ErrDiffers,
			blob.Size, size)
	case !c.Verify:
		return true, nil
	}

	got, err := store.DigestCounted(ctx, c.To, blob.Name, part.Add)
	if err == nil && got != digest {
		err = fmt.Errorf("%w: the target has other bytes", delivery.ErrDiffers)
	}
	return true, err
}

// tidy removes unfinished files of earlier copies.
func (c *Copier) tidy(ctx context.Context) error {
	unfinished, err := leftovers.FilesOfCopies(ctx, c.To)
	if err != nil {
		return err
	}
	_, err = leftovers.Discard(ctx, c.To, unfinished)
	return err
}
