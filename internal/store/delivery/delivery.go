// Package delivery brings blobs from one store to another, and proves that they have arrived.
package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/guppy-prep/guppy/internal/store"
)

var (
	// ErrDiffers is returned for a blob whose bytes don't match its name.
	ErrDiffers = errors.New("content does not match its name")
	// ErrSource is returned, with the reason, if the store that has the blob is to blame.
	ErrSource = errors.New("it can't be read")
)

// Order says what is to be delivered.
type Order struct {
	From, To store.Store
	// Owner is the owner of the file while it is written.
	Owner  string
	Name   string
	Digest [sha256.Size]byte
	Size   int64
	// Read, if not nil, is called with the number of bytes that were read from the source, and Sent with the number of
	// bytes that were sent to the target, or read there.
	Read, Sent func(n int64)
}

// Deliver makes sure that the target has a blob. What is there under the right name is read, and replaced if its bytes
// are wrong. Deliver reports whether it has copied the blob. It returns ErrSource if the source can't be read, and
// ErrDiffers as well if it has other bytes.
func Deliver(ctx context.Context, order Order) (copied bool, err error) {
	present, err := order.isPresent(ctx)
	if err != nil || present {
		return false, err
	}
	return true, order.copy(ctx)
}

// isPresent reports whether the target has the blob with the right bytes, and nobody is removing it: it may have been a
// stray until the store became a replica.
func (o Order) isPresent(ctx context.Context) (bool, error) {
	size, err := o.To.Size(ctx, o.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && size != o.Size {
		return false, nil
	}
	if err != nil {
		return false, err
	}

	in, err := o.To.Open(ctx, o.Name)
	if err != nil {
		return false, err
	}
	defer in.Close() //nolint:errcheck // it is only read

	hash := sha256.New()
	if _, err := io.Copy(hash, reader{ctx, in, o.Sent, nil}); err != nil {
		return false, fmt.Errorf("read %s: %w", o.Name, err)
	}
	if [sha256.Size]byte(hash.Sum(nil)) != o.Digest {
		return false, nil
	}

	err = o.To.Confirm(ctx, o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Copy copies a blob from one store to another. The blob appears there only if its bytes match the digest in its name;
// otherwise Copy returns ErrDiffers. It calls read with the number of bytes that it has read.
func Copy(ctx context.Context, from, to store.Store, owner, name string, digest [sha256.Size]byte,
	read func(n int64)) error {
	return Order{From: from, To: to, Owner: owner, Name: name, Digest: digest, Read: read}.copy(ctx)
}

func (o Order) copy(ctx context.Context) (err error) {
	in, err := o.From.Open(ctx, o.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	defer in.Close() //nolint:errcheck // it is only read

	out, err := o.To.Create(ctx, o.Owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()

	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, hash), reader{ctx, in, o.Read, ErrSource}); err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, err)
	}

	// The digest is compared before the blob gets its name.
	if [sha256.Size]byte(hash.Sum(nil)) != o.Digest {
		return fmt.Errorf("%w: %w: %s has other bytes", ErrSource, ErrDiffers, store.BlobURL(o.From.URL(), o.Name))
	}

	if err := out.Sync(ctx); err != nil {
		return err
	}
	sent := o.Sent
	if sent == nil {
		sent = func(int64) {}
	}
	if err := out.Stage(ctx, o.Name, sent); err != nil {
		return err
	}
	return out.Commit(ctx, o.Name)
}

// reader reports the bytes that are read, and fails when its context ends.
type reader struct {
	ctx  context.Context //nolint:containedctx // a reader takes none
	from io.Reader
	// read, if not nil, is called with the number of bytes that were read.
	read func(n int64)
	// blamed, if not nil, is added to the errors of reads.
	blamed error
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.from.Read(p)
	if r.read != nil {
		r.read(int64(n))
	}
	if err != nil && !errors.Is(err, io.EOF) && r.blamed != nil {
		err = fmt.Errorf("%w: %w", r.blamed, err)
	}
	return n, err
}
