package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// wholeSize is the most that is sent in one request while others wait.
const wholeSize = 4 << 20

// abortTimeout limits the requests for the server to forget an upload that is of no further use.
const abortTimeout = 10 * time.Second

// s3Blob is a blob in a temporary file of this host. Once a large blob is staged, its bytes are also the parts of
// a multipart upload.
type s3Blob struct {
	*localFile
	ctx   context.Context //nolint:containedctx // Abort takes none
	store *S3
	owner string
	name  string
	// upload is the multipart upload of a staged blob. It stays nil if the blob is small.
	upload             *s3Upload
	committed, aborted bool
	// forgetting removes the note of a committed upload, while the blob is recorded.
	forgetting sync.WaitGroup
}

// Stage sends all parts of a large blob. Commit alone sends a small one.
func (b *s3Blob) Stage(ctx context.Context, name string, alive func(n int64)) error {
	if err := b.stage(ctx, name, alive); err != nil {
		return b.store.failure(name, err)
	}
	return nil
}

func (b *s3Blob) stage(ctx context.Context, name string, alive func(n int64)) error {
	if err := errors.Join(ctx.Err(), checkName(name), b.broken); err != nil {
		return err
	}

	switch {
	case b.aborted:
		return os.ErrClosed
	case b.name != "" && b.name != name:
		return againAs(b.name, name)
	case b.committed || b.upload != nil || b.size <= wholeSize:
		// Everything is sent already, or Commit sends it in one request.
		return nil
	}

	upload, err := b.store.beginUpload(ctx, b.owner, name)
	if err != nil {
		return err
	}

	if err := upload.send(ctx, b.localFile, alive); err != nil {
		upload.abort(b.ctx)
		return err
	}

	b.name, b.upload = name, upload
	return nil
}

// Commit completes the multipart upload or sends a small blob. The object appears as a whole or not at all.
func (b *s3Blob) Commit(ctx context.Context, name string) error {
	if err := b.commit(ctx, name); err != nil {
		return b.store.failure(name, err)
	}
	return nil
}

func (b *s3Blob) commit(ctx context.Context, name string) error {
	if err := b.stage(ctx, name, func(int64) {}); err != nil {
		return err
	}

	// Somebody may have removed the blob since it was committed.
	if b.committed {
		return b.store.confirm(ctx, name)
	}

	// A removal that is under way would take the new object too.
	if err := b.store.awaitRemoval(ctx, name); err != nil {
		return ended(ctx, err)
	}

	var err error
	switch {
	case b.upload != nil:
		if err = b.upload.complete(ctx); err == nil {
			b.forgetting.Go(func() { b.upload.forget(b.ctx) })
		}
	default:
		err = b.store.putWhole(ctx, name, b.localFile)
	}

	if err != nil {
		return ended(ctx, err)
	}

	b.name, b.committed = name, true
	return nil
}

// Abort makes the server forget the multipart upload. If the blob is committed, Abort only waits until the upload's
// note is removed. Discard later deals with anything that the server does not forget now.
func (b *s3Blob) Abort() error {
	b.forgetting.Wait()
	if b.upload != nil && !b.aborted && !b.committed {
		b.upload.abort(b.ctx)
	}
	b.aborted = true
	return b.close()
}

// putWhole sends a blob in one request. The server checks the bytes against their digest.
func (s *S3) putWhole(ctx context.Context, name string, file *localFile) error {
	digest, err := digestOf(io.NewSectionReader(file, 0, file.size))
	if err != nil {
		return err
	}

	return s.again(ctx, func(ctx context.Context) error {
		ctx, moved, stop := watch(ctx)
		defer stop()
		content := &body{io.NewSectionReader(file, 0, file.size), func(int64) { moved() }}
		_, err := s.client.PutObject(ctx, s.bucket.Name, s.key(name), content, file.size, "", digest,
			minio.PutObjectOptions{})
		return err
	})
}

// digestOf returns the SHA-256 of everything in from, in hexadecimal.
func digestOf(from io.Reader) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, from); err != nil {
		return "", fmt.Errorf("read back what was written: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
