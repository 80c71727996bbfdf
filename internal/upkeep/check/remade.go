package check

import (
	"context"
	"io"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// opener opens the bytes that a name stands for.
type opener interface {
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// opener returns the store of a shard, or a remade shard if no store keeps the bytes of the shard.
func (c *Checker) opener(row sqlrepo.Shard) opener {
	if row.Store == store.NoneIdentity && c.Remake != nil {
		return remade{c, row}
	}
	return c.place(row.Store).Files
}

// remade opens one shard, whatever the name. Its bytes are made again from the source.
type remade struct {
	checker *Checker
	row     sqlrepo.Shard
}

// Open implements opener.
func (r remade) Open(ctx context.Context, _ string) (io.ReadCloser, error) {
	reading, err := r.checker.Remake(ctx, r.row)
	if err != nil {
		return nil, err
	}
	at := readerAt{ctx, reading}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(at, 0, r.row.Size), reading}, nil
}

type readerAt struct {
	ctx context.Context //nolint:containedctx // a reader takes none
	store.Reading
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.Reading.ReadAt(r.ctx, p, off) }
