package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// neededPermissions are those of the policy that a worker's keys need.
const neededPermissions = "s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, " +
	"s3:DeleteObject and s3:AbortMultipartUpload"

// fullCodes are what servers answer that have no room.
var fullCodes = []string{"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"}

// failure says where something failed, and what to do about a server that refuses.
func (s *S3) failure(name string, err error) error {
	where := s.bucket.url(name)
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("store %s: %w", where, err)
	}
	switch {
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("store %s: %w: there is no bucket %s: make it, or mend the URL; guppy makes none",
			where, ErrUnusable, s.bucket.Name)
	case isNotFound(answer):
		return fmt.Errorf("store %s: %w (%s)", where, fs.ErrNotExist, answer.Code)
	case answer.StatusCode == http.StatusInsufficientStorage || slices.Contains(fullCodes, answer.Code):
		return fmt.Errorf("store %s: %w: %w: %s", where, ErrUnusable, syscall.ENOSPC, answer.Code)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		// What the server says may repeat a key.
		return fmt.Errorf("store %s: %w: %w: the server answers %s: the keys have to be right, and their policy to allow %s",
			where, ErrUnusable, fs.ErrPermission, answer.Code, neededPermissions)
	}
	return fmt.Errorf("store %s: the server answers %s: %w", where, answer.Code, err)
}

func isNotFound(answer minio.ErrorResponse) bool {
	return answer.StatusCode == http.StatusNotFound || answer.Code == minio.NoSuchKey || answer.Code == minio.NoSuchUpload
}

// answered tells whether the server has given an answer with one of these codes.
func answered(err error, codes ...string) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && slices.Contains(codes, answer.Code)
}

// damagedCodes are what servers answer when bytes were lost or changed on their way.
var damagedCodes = []string{"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "SlowDown",
	"InvalidDigest", "XAmzContentChecksumMismatch"}

// isTransient tells whether the same request may succeed if it is sent again.
func isTransient(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return !errors.Is(err, fs.ErrClosed) && !errors.Is(err, fs.ErrInvalid)
	}
	switch answer.StatusCode {
	case http.StatusInsufficientStorage, http.StatusNotImplemented:
		return false
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return answer.StatusCode >= http.StatusInternalServerError || slices.Contains(damagedCodes, answer.Code)
}

// ended is the reason for which a context has ended, before what came of that.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
