// Package mirror copies a store to another one.
package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
)

var (
	// ErrNoStore is returned for a place that has no store to copy, or where none can be put.
	ErrNoStore = errors.New("no store that can be copied")
	// ErrOther is returned when the target has the identity of another store.
	ErrOther = errors.New("there is another store")
	// ErrForeign is returned when the target is no store yet, and has what no copy has put there.
	ErrForeign = errors.New("there is something else")
	// ErrDiffers is returned for a blob whose bytes are not what its name says, in the source or in the target.
	ErrDiffers = errors.New("not what its name says")
)

// Copier copies the shards and indexes of a store, and at last its identity.
type Copier struct {
	From, To store.Store
	// Verify has blobs that are in the target already read there, instead of comparing their lengths alone.
	Verify bool
	// Workers is how many blobs are copied side by side.
	Workers int
	// Failed is told why a blob was not copied, from one goroutine at a time. The others are copied all the same.
	Failed   func(name string, err error)
	Progress *Progress
}

// Progress counts what has been done so far.
type Progress struct{ Copied, Skipped, Ignored, Failed, Bytes atomic.Int64 }

// Run copies what the target does not have. It may be run again after it was interrupted, and again later for what is
// new. No blob of the target is replaced by another one. The target gets the identity of the source once it has all.
// Run returns ErrNoStore, ErrOther, ErrForeign, and ErrDiffers when some blobs were not copied.
func (c *Copier) Run(ctx context.Context) error {
	identity, err := c.identity(ctx)
	if err != nil {
		return err
	}
	if err := c.tidy(ctx); err != nil {
		return err
	}
	if err := c.blobs(ctx); err != nil {
		return err
	}
	if failed := c.Progress.Failed.Load(); failed > 0 {
		return fmt.Errorf("%w: %d blobs were not copied; the copy has no identity before it has them all", ErrDiffers, failed)
	}
	marker, err := c.To.Marker(ctx)
	if err != nil || marker == identity {
		return err
	}
	return c.To.Mark(ctx, identity)
}

// identity is that of the source, which the target has or may get.
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
		return "", fmt.Errorf("%w: %s keeps no bytes", ErrNoStore, store.NoneLocation)
	case identity == "":
		return "", fmt.Errorf("%w: what is to be copied has no marker: it was never a store of guppy's, or has lost it",
			ErrNoStore)
	case marker != "" && marker != identity:
		return "", fmt.Errorf("%w: the source is %s, and the target is %s", ErrOther, identity, marker)
	case marker == "":
		return identity, c.foreign(ctx)
	}
	return identity, nil
}

// foreign returns ErrForeign unless the target is empty, or has what an interrupted copy has left.
func (c *Copier) foreign(ctx context.Context) error {
	for blob, err := range c.To.Committed(ctx) {
		if err != nil {
			return err
		}
		name, _ := store.CutAside(blob.Name)
		if _, ok := trash.ParseName(name); !ok {
			return fmt.Errorf("%w: %q is in the target, which is no store yet: name a place that is empty, or remove "+
				"what is there",
				ErrForeign, blob.Name)
		}
	}
	return nil
}

// blobs copies side by side what is a blob by its name.
func (c *Copier) blobs(ctx context.Context) error {
	copying, ctx := errgroup.WithContext(ctx)
	copying.SetLimit(max(1, c.Workers))
	owner := leftovers.CopyOwner()
	var telling sync.Mutex
	for blob, err := range c.sources(ctx) {
		if err != nil {
			return errors.Join(err, copying.Wait())
		}
		digest, ok := trash.ParseName(blob.Name)
		if !ok {
			c.Progress.Ignored.Add(1)
			continue
		}
		if ctx.Err() != nil {
			break
		}
		copying.Go(func() error {
			err := c.blob(ctx, owner, blob, digest)
			if !errors.Is(err, ErrDiffers) {
				return err
			}
			telling.Lock()
			defer telling.Unlock()
			c.Progress.Failed.Add(1)
			c.Failed(blob.Name, err)
			return nil
		})
	}
	return copying.Wait()
}

// sources yields what is committed, and what is in the trash: an interrupted removal may have put there what a row
// names.
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

func (c *Copier) blob(ctx context.Context, owner string, blob store.Committed, digest [sha256.Size]byte) error {
	there, err := c.isThere(ctx, blob, digest)
	if err != nil {
		return err
	}
	if there {
		c.Progress.Skipped.Add(1)
		return nil
	}
	if err := c.transport(ctx, owner, blob, digest); err != nil {
		return err
	}
	c.Progress.Copied.Add(1)
	return nil
}

// isThere returns ErrDiffers when the target has other bytes under the name.
func (c *Copier) isThere(ctx context.Context, blob store.Committed, digest [sha256.Size]byte) (bool, error) {
	size, err := c.To.Size(ctx, blob.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case size != blob.Size:
		return false, fmt.Errorf("%w: it has %d bytes in the source and %d in the target", ErrDiffers, blob.Size, size)
	case !c.Verify:
		return true, nil
	}
	got, err := Digest(ctx, c.To, blob.Name)
	if err == nil && got != digest {
		err = fmt.Errorf("%w: the target has other bytes", ErrDiffers)
	}
	return true, err
}

// Digest reads a blob to its end.
func Digest(ctx context.Context, from store.Store, name string) (digest [sha256.Size]byte, err error) {
	in, err := from.Open(ctx, name)
	if err != nil {
		return digest, err
	}
	defer in.Close() //nolint:errcheck // it is only read
	hash := sha256.New()
	if _, err := io.Copy(hash, reader{ctx, in, func(int64) {}}); err != nil {
		return digest, fmt.Errorf("read %s: %w", name, err)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// transport copies a blob. It appears in the target only if its bytes are what its name says.
func (c *Copier) transport(ctx context.Context, owner string, blob store.Committed,
	digest [sha256.Size]byte) (err error) {
	in, err := c.From.Open(ctx, blob.Name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	out, err := c.To.Create(ctx, owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()
	hash := sha256.New()
	counted := reader{ctx, in, func(n int64) { c.Progress.Bytes.Add(n) }}
	if _, err := io.Copy(io.MultiWriter(out, hash), counted); err != nil {
		return fmt.Errorf("copy %s: %w", blob.Name, err)
	}
	if [sha256.Size]byte(hash.Sum(nil)) != digest {
		return fmt.Errorf("%w: the source has other bytes", ErrDiffers)
	}
	if err := out.Sync(ctx); err != nil {
		return err
	}
	if err := out.Stage(ctx, blob.Name, func(int64) {}); err != nil {
		return err
	}
	_, err = out.Commit(ctx, blob.Name)
	return err
}

// reader ends with its context and counts what is read.
type reader struct {
	ctx  context.Context //nolint:containedctx // a reader takes none
	from io.Reader
	read func(n int64)
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.from.Read(p)
	r.read(int64(n))
	return n, err
}

// tidy removes what copies have left.
func (c *Copier) tidy(ctx context.Context) error {
	left, err := leftovers.FilesOfCopies(ctx, c.To)
	if err != nil {
		return err
	}
	_, err = leftovers.Discard(ctx, c.To, left)
	return err
}
