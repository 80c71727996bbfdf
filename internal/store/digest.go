package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// Digest reads a committed blob to its end and returns the digest of its bytes. It fails like Open.
func Digest(ctx context.Context, from Store, name string) (digest [sha256.Size]byte, err error) {
	return DigestCounted(ctx, from, name, func(int64) {})
}

// DigestCounted is like Digest and calls read with the number of bytes of each read.
func DigestCounted(ctx context.Context, from Store, name string,
	read func(n int64)) (digest [sha256.Size]byte, err error) {
	in, err := from.Open(ctx, name)
	if err != nil {
		return digest, err
	}
	defer in.Close() //nolint:errcheck // it is only read

	hash := sha256.New()
	if _, err := io.Copy(hash, untilDone{ctx, in, read}); err != nil {
		return digest, fmt.Errorf("read %s: %w", name, err)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx  context.Context //nolint:containedctx // a reader takes none
	from io.Reader
	read func(n int64)
}

func (r untilDone) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.from.Read(p)
	r.read(int64(n))
	return n, err
}
