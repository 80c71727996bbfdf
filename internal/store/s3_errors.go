package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// neededPermissions are those of the policy that a worker's keys need.
const neededPermissions = "s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, " +
	"s3:DeleteObject and s3:AbortMultipartUpload"

// regionCodes are what servers answer to who takes the bucket for one of another region.
var regionCodes = []string{minio.AuthorizationHeaderMalformed, minio.InvalidRegion, "PermanentRedirect",
	"IllegalLocationConstraintException"}

func expected(region string) string {
	if region == "" {
		return ""
	}
	return ", and expects " + region
}

// unknownKeyCodes are what servers answer that have not heard of a key, with whatever status.
var unknownKeyCodes = []string{minio.InvalidAccessKeyID, "XAdminUserNotFound"}

// fullCodes are what servers answer that have no room.
var fullCodes = []string{"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"}

// failure says where something failed, and what to do about a server that refuses.
func (s *S3) failure(name string, err error) error {
	where := s.bucket.url(name)
	var answer minio.ErrorResponse
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("store %s: %w: %w: say endpoint=http://%s, unless it should have TLS", where, ErrUnusable, err,
			s.bucket.Endpoint)
	}
	if !errors.As(err, &answer) || errors.Is(err, ErrTooLate) {
		return fmt.Errorf("store %s: %w", where, barred(err))
	}
	switch {
	case slices.Contains(regionCodes, answer.Code):
		return fmt.Errorf("store %s: %w: the server answers %s%s: say which region the bucket is in, with region= in the URL",
			where, ErrUnusable, answer.Code, expected(answer.Region))
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("store %s: %w: there is no bucket %s: make it, or mend the URL; guppy makes none",
			where, ErrUnusable, s.bucket.Name)
	case isNotFound(answer) && !slices.Contains(unknownKeyCodes, answer.Code):
		return fmt.Errorf("store %s: %w (%s)", where, fs.ErrNotExist, answer.Code)
	case answer.StatusCode == http.StatusInsufficientStorage || slices.Contains(fullCodes, answer.Code):
		return fmt.Errorf("store %s: %w: %w: %s", where, ErrUnusable, syscall.ENOSPC, answer.Code)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized,
		slices.Contains(unknownKeyCodes, answer.Code):
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
		return !errors.Is(err, fs.ErrClosed) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, ErrTooLate)
	}
	switch answer.StatusCode {
	case http.StatusInsufficientStorage, http.StatusNotImplemented:
		return false
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return answer.StatusCode >= http.StatusInternalServerError || slices.Contains(damagedCodes, answer.Code)
}

// ended is the reason for which a context has ended, before what came of that. A request that came to nothing while
// there was time is the server's or the network's fault.
func ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return nil
	case cause != nil && !errors.Is(err, cause):
		return fmt.Errorf("%w: %w", cause, err)
	case cause == nil && isAway(err) && !errors.Is(err, ErrUnusable):
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return err
}

// isAway tells whether a server was not reached, or did not say all that it had to.
func isAway(err error) bool {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		return slices.Contains(awayStatuses, answer.StatusCode)
	}
	var request *url.Error
	var file *fs.PathError // what is to be sent can't be read
	return !errors.As(err, &file) && (errors.As(err, &request) || errors.Is(err, errIdle) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(net.Error)))
}

// isCertificate reports whether TLS failed for good.
func isCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError))
}

// awayStatuses are what a server answers that has no time for anybody, or one that stands before it.
var awayStatuses = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
