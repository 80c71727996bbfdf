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

// neededPermissions are the permissions that the policy of a worker's keys must grant.
const neededPermissions = "s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, " +
	"s3:DeleteObject and s3:AbortMultipartUpload"

// regionCodes are the codes with which servers answer a request for a bucket of another region.
var regionCodes = []string{minio.AuthorizationHeaderMalformed, minio.InvalidRegion, "PermanentRedirect",
	"IllegalLocationConstraintException"}

// expected returns the part of a message that names the region that the server expects.
func expected(region string) string {
	if region == "" {
		return ""
	}
	return ", and expects " + region
}

// unknownKeyCodes are the codes with which servers answer requests with an unknown key, whatever the status.
var unknownKeyCodes = []string{minio.InvalidAccessKeyID, "XAdminUserNotFound"}

// fullCodes are the codes of servers that have no room.
var fullCodes = []string{"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"}

// failure adds the place to an error and, if the server refuses a request, says what to do about it.
func (s *S3) failure(name string, err error) error {
	place := s.bucket.url(name)
	var answer minio.ErrorResponse

	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("store %s: %w: %w: say endpoint=http://%s, unless it should have TLS", place, ErrUnusable, err,
			s.bucket.Endpoint)
	}

	if !errors.As(err, &answer) || errors.Is(err, ErrTooLate) {
		return fmt.Errorf("store %s: %w", place, barred(err))
	}

	switch {
	case slices.Contains(regionCodes, answer.Code):
		return fmt.Errorf("store %s: %w: the server answers %s%s: name the region of the bucket with region= in the URL",
			place, ErrUnusable, answer.Code, expected(answer.Region))
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("store %s: %w: there is no bucket %s: create it, or correct the URL; guppy creates no buckets",
			place, ErrUnusable, s.bucket.Name)
	case isNotFound(answer) && !slices.Contains(unknownKeyCodes, answer.Code):
		return fmt.Errorf("store %s: %w (%s)", place, fs.ErrNotExist, answer.Code)
	case answer.StatusCode == http.StatusInsufficientStorage || slices.Contains(fullCodes, answer.Code):
		return fmt.Errorf("store %s: %w: %w: %s", place, ErrUnusable, syscall.ENOSPC, answer.Code)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized,
		slices.Contains(unknownKeyCodes, answer.Code):
		// The server's message may contain a key.
		return fmt.Errorf("store %s: %w: %w: the server answers %s: the keys have to be right, and their policy has to "+
			"allow %s",
			place, ErrUnusable, fs.ErrPermission, answer.Code, neededPermissions)
	}
	return fmt.Errorf("store %s: the server answers %s: %w", place, answer.Code, err)
}

// isNotFound reports whether the server answers that something does not exist.
func isNotFound(answer minio.ErrorResponse) bool {
	return answer.StatusCode == http.StatusNotFound || answer.Code == minio.NoSuchKey || answer.Code == minio.NoSuchUpload
}

// answered reports whether err is an answer of the server with one of the codes.
func answered(err error, codes ...string) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && slices.Contains(codes, answer.Code)
}

// damagedCodes are the codes for bytes that were lost or changed on the way.
var damagedCodes = []string{"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "SlowDown",
	"InvalidDigest", "XAmzContentChecksumMismatch"}

// isTransient reports whether the same request may succeed if it is sent again.
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

// ended returns err preceded by the cause of the end of ctx, if ctx has ended. If ctx has not ended, a request
// that did not reach the server or was cut off is the fault of the server or the network: ended adds ErrUnusable.
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

// isAway reports whether the server was not reached or did not complete its answer.
func isAway(err error) bool {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		return slices.Contains(awayStatuses, answer.StatusCode)
	}

	var request *url.Error
	// An error of a file concerns the bytes to send, not the server.
	var file *fs.PathError
	return !errors.As(err, &file) && (errors.As(err, &request) || errors.Is(err, errIdle) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(net.Error)))
}

// isCertificate reports whether TLS failed for good.
func isCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError))
}

// awayStatuses are the statuses of an overloaded server, or of a proxy in front of a server.
var awayStatuses = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
