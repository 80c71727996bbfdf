package store

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"
)

// checkBucket returns an error unless the bucket exists. The answer to a HEAD request has no body and so no
// reason, and servers give the same answer for unknown keys. Only an attempt to list the bucket yields the
// reason.
func (s *S3) checkBucket(ctx context.Context) error {
	exists, err := s.client.BucketExists(ctx, s.bucket.Name)
	if exists && err == nil {
		return nil
	}

	if err == nil {
		err = minio.ErrorResponse{Code: minio.NoSuchBucket}
	}

	if errors.As(err, &minio.ErrorResponse{}) {
		if reason := s.list(ctx); reason != nil {
			err = reason
		}
	}

	return ended(ctx, err)
}

// list lists one object and returns the error of that request.
func (s *S3) list(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for object := range s.client.ListObjectsIter(ctx, s.bucket.Name, minio.ListObjectsOptions{MaxKeys: 1}) {
		return object.Err
	}
	return nil
}
