package store

import (
	"context"
	"errors"
	"io"

	"github.com/minio/minio-go/v7"
)

// Open opens a committed blob for reading. If the connection breaks, reading continues from the same offset.
func (s *S3) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return nil, s.failure(name, err)
	}
	return s.stream(ctx, name)
}

// stream connects to a blob of unknown length.
func (s *S3) stream(ctx context.Context, name string) (*s3Stream, error) {
	r := &s3Stream{ctx: ctx, store: s, name: name, end: -1}
	if err := s.again(ctx, func(context.Context) error { return r.connect() }); err != nil {
		return nil, s.failure(name, err)
	}
	return r, nil
}

// OpenAt opens a committed blob for random access. Each read is one request.
func (s *S3) OpenAt(ctx context.Context, name string) (Reading, error) {
	size, err := s.Size(ctx, name)
	if err != nil {
		return nil, err
	}
	return &s3Reading{s, name, size}, nil
}

type s3Reading struct {
	store *S3
	name  string
	size  int64
}

func (r *s3Reading) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, r.store.failure(r.name, err)
	}
	if off < 0 {
		return 0, r.store.failure(r.name, errors.New("negative offset"))
	}

	end := min(off+int64(len(p)), r.size)
	if off >= end {
		// An empty read succeeds even at the end.
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}

	in := &s3Stream{ctx: ctx, store: r.store, name: r.name, at: off, end: end}
	defer in.Close() //nolint:errcheck // it is only read

	n, err := io.ReadFull(in, p[:end-off])
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (r *s3Reading) Close() error { return nil }

// s3Stream reads a range of a blob, over several connections in turn if necessary.
type s3Stream struct {
	ctx   context.Context //nolint:containedctx // a reader takes none
	store *S3
	name  string
	// at is the offset of the next byte. end is -1 until the length of the blob is known.
	at, end int64
	info    minio.ObjectInfo
	body    io.ReadCloser
	moved   func()
	stop    func()
	// failures and patience count the failures since the last byte arrived.
	failures int
	patience patience
}

// Read reads the next bytes. It connects again after a transient failure, and waits for a server that is away.
func (r *s3Stream) Read(p []byte) (int, error) {
	for {
		n, err := r.read(p)
		switch {
		case n > 0:
			// Something came: further failures count from zero.
			if r.failures > 0 {
				r.failures, r.patience = 0, patience{}
				r.store.answers()
			}
			return n, nil
		case err == nil, errors.Is(err, io.EOF) && r.at == r.end:
			return 0, err
		}

		r.failures++
		r.patience.store = r.store
		waits := r.patience.lasts(r.ctx, err)
		if r.ctx.Err() != nil || !waits && (r.failures >= mostAttempts || !isTransient(err)) {
			return 0, r.store.failure(r.name, ended(r.ctx, err))
		}

		if err := pauseBefore(r.ctx, r.failures); err != nil {
			return 0, r.store.failure(r.name, err)
		}
	}
}

// read reads from the current connection, or makes one. It drops a connection that fails.
func (r *s3Stream) read(p []byte) (int, error) {
	if r.at == r.end {
		return 0, io.EOF
	}

	if r.body == nil {
		if err := r.connect(); err != nil {
			return 0, err
		}
	}

	n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
	r.at += int64(n)
	r.moved()
	if err == nil {
		return n, nil
	}

	r.disconnect()
	if errors.Is(err, io.EOF) && r.at < r.end {
		// The connection has ended before the range.
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// connect requests the rest of the range, or the whole blob while its length is unknown.
func (r *s3Stream) connect() (err error) {
	var options minio.GetObjectOptions
	if r.end >= 0 {
		if err := options.SetRange(r.at, r.end-1); err != nil {
			return err
		}
	}

	ctx, moved, stop := watch(r.ctx)
	s := r.store
	found, info, _, err := s.client.GetObject(ctx, s.bucket.Name, s.key(r.name), options)
	if err != nil {
		stop()
		return err
	}

	// The first answer has the length of the blob.
	if r.end < 0 {
		r.end, r.info = info.Size, info
	}
	r.body, r.moved, r.stop = found, moved, stop
	return nil
}

func (r *s3Stream) disconnect() {
	if r.body == nil {
		return
	}
	r.stop()
	_ = r.body.Close() // it is only read
	r.body = nil
}

func (r *s3Stream) Close() error {
	r.disconnect()
	r.end = r.at
	return nil
}
