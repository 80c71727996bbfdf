package store

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"
)

// checkBucket makes sure that there is a bucket. The answer to whether there is has no body, and so no reason, and
// servers say the same of keys that they don't know: only what lists the bucket tells more.
func (s *S3) checkBucket(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.bucket.Name)
	if there && err == nil {
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

// list asks for one object.
func (s *S3) list(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for object := range s.client.ListObjectsIter(ctx, s.bucket.Name, minio.ListObjectsOptions{MaxKeys: 1}) {
		return object.Err
	}
	return nil
}
