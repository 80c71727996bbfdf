package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// object is an object of the bucket.
type object struct {
	Committed
	changed time.Time
}

// objects yields the objects whose names begin with prefix and contain no slash, page by page.
func (s *S3) objects(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		owner := false
		options := minio.ListObjectsOptions{Prefix: s.key(prefix), FetchOwner: &owner}

		for listed, err := range s.listed(ctx, options) {
			if err != nil {
				yield(object{}, s.failure("", err))
				return
			}

			name, ours := strings.CutPrefix(listed.Key, s.bucket.Prefix)
			if !ours || name == "" || strings.Contains(name, "/") {
				continue
			}

			if !yield(object{Committed{Name: name, Size: listed.Size}, listed.LastModified}, nil) {
				return
			}
		}

		// The library ends the list without an error if the context ends.
		if err := ctx.Err(); err != nil {
			yield(object{}, s.failure("", err))
		}
	}
}

// listed yields the objects of a bucket. If the server is away for a while, the list continues after the last
// object.
func (s *S3) listed(ctx context.Context, options minio.ListObjectsOptions) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		p := patience{store: s}
		for attempt := 1; ; attempt++ {
			failed := error(nil)

			for object := range s.client.ListObjectsIter(ctx, s.bucket.Name, options) {
				if failed = object.Err; failed != nil {
					break
				}

				// Each object renews the patience, and the list continues after it.
				s.answers()
				p, attempt = patience{store: s}, 1
				options.StartAfter = object.Key

				if !yield(object, nil) {
					return
				}
			}

			if failed == nil {
				return
			}

			if !p.lasts(ctx, failed) {
				yield(minio.ObjectInfo{}, ended(ctx, failed))
				return
			}

			if err := pauseBefore(ctx, attempt); err != nil {
				yield(minio.ObjectInfo{}, err)
				return
			}
		}
	}
}

// Committed yields the name and length of each committed blob, and of each object that somebody else has put in
// the bucket. It skips names that begin with a dot, which are guppy's own.
func (s *S3) Committed(ctx context.Context) iter.Seq2[Committed, error] {
	return func(yield func(Committed, error) bool) {
		for object, err := range s.objects(ctx, "") {
			if err == nil && strings.HasPrefix(object.Name, ".") {
				continue
			}
			if !yield(object.Committed, err) || err != nil {
				return
			}
		}
	}
}

// Size implements Store.
func (s *S3) Size(ctx context.Context, name string) (int64, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return 0, s.failure(name, err)
	}
	info, err := s.stat(ctx, name)
	if err != nil {
		return 0, s.failure(name, err)
	}
	return info.Size, nil
}

// stat describes an object. If the object is not found, stat checks that the bucket exists, since the answer for
// a missing object is the same as for a missing bucket.
func (s *S3) stat(ctx context.Context, name string) (minio.ObjectInfo, error) {
	var info minio.ObjectInfo
	err := s.patiently(ctx, func() (err error) {
		info, err = s.client.StatObject(ctx, s.bucket.Name, s.key(name), minio.StatObjectOptions{})
		return err
	})

	if !answered(err, minio.NoSuchKey) {
		return info, ended(ctx, err)
	}

	found := false
	bucketErr := s.patiently(ctx, func() (err error) {
		found, err = s.client.BucketExists(ctx, s.bucket.Name)
		return err
	})

	switch {
	case bucketErr != nil:
		return info, ended(ctx, bucketErr)
	case !found:
		return info, minio.ErrorResponse{Code: minio.NoSuchBucket}
	}

	return info, err
}

// Remove implements Store.
func (s *S3) Remove(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return s.failure(name, err)
	}
	if err := s.remove(ctx, name); err != nil {
		return s.failure(name, err)
	}
	return nil
}

// remove removes an object. It is not an error if the object does not exist.
func (s *S3) remove(ctx context.Context, name string) error {
	err := s.patiently(ctx, func() error {
		return s.client.RemoveObject(ctx, s.bucket.Name, s.key(name), minio.RemoveObjectOptions{})
	})
	if answered(err, minio.NoSuchKey) {
		return nil
	}
	return ended(ctx, err)
}

// rename copies an object and removes the original. It is not an error if the object does not exist.
func (s *S3) rename(ctx context.Context, name, to string) error {
	if err := s.copy(ctx, name, to); err != nil {
		return err
	}
	return s.remove(ctx, name)
}

// copy makes the server copy an object. It is not an error if the object does not exist.
func (s *S3) copy(ctx context.Context, name, to string) error {
	source := minio.CopySrcOptions{Bucket: s.bucket.Name, Object: s.key(name)}
	err := s.patiently(ctx, func() error {
		_, err := s.client.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: s.bucket.Name, Object: s.key(to)}, source)
		return err
	})
	if answered(err, minio.NoSuchKey) {
		return nil
	}
	return ended(ctx, err)
}

// unnotedKey separates the name and the ID of a multipart upload in the name of an Unfinished for an upload
// without a note.
const unnotedKey = "?uploadId="

// unnotedName returns the name of the Unfinished for an upload without a note.
func unnotedName(name, id string) string { return name + unnotedKey + url.QueryEscape(id) }

// parseUnnoted is the inverse of unnotedName.
func parseUnnoted(text string) (name, id string, err error) {
	name, escaped, ok := strings.Cut(text, unnotedKey)
	if id, err = url.QueryUnescape(escaped); err != nil || !ok || id == "" {
		return "", "", fmt.Errorf("%q is not an unfinished blob", text)
	}
	return name, id, checkName(name)
}
