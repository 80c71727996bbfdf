package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

const (
	amazonEndpoint = "s3.amazonaws.com"
	// anyRegion is the region that servers without regions expect.
	anyRegion = "us-east-1"
)

// S3 is a store in a bucket of an S3 server. Each blob is an object, whose key is the prefix followed by the name
// of the blob.
type S3 struct {
	client  *minio.Core
	bucket  Bucket
	tempDir string
	// retryFor is how long to wait for a server that is away. away is true while it is. log, if not nil, reports
	// the beginning and the end of an outage.
	retryFor time.Duration
	log      *slog.Logger
	away     atomic.Bool
	// clock and http belong to requests that the server refuses after a deadline. trashFor is the time for a
	// removal.
	clock    *clock
	http     *http.Client
	trashFor time.Duration
}

// OpenS3 returns the store in an existing bucket. It takes credentials from the environment, from the files that
// AWS tools use, or from the role of the host. It returns ErrUnusable if there are none or the bucket cannot be
// used.
func OpenS3(ctx context.Context, bucket Bucket, options Options) (*S3, error) {
	s := &S3{bucket: bucket, tempDir: options.TempDir, retryFor: options.RetryFor, log: options.Log, trashFor: trashFor}
	keys := keysOfHost()

	// The clock sees the dates of all answers, since removals depend on the server's time.
	transport, err := minio.DefaultTransport(!bucket.Plain)
	if err != nil {
		return nil, s.failure("", err)
	}
	s.clock = &clock{RoundTripper: transport}
	s.http = &http.Client{Transport: s.clock}

	client, err := minio.NewCore(bucket.Endpoint, &minio.Options{
		Creds: keys, Secure: !bucket.Plain, Region: bucket.region(), BucketLookup: bucket.lookup(),
		Transport: s.clock,
	})
	if err != nil {
		return nil, s.failure("", fmt.Errorf("%w: %w", ErrBadURL, err))
	}

	s.client = client
	if err := s.checkKeys(ctx, keys); err != nil {
		return nil, s.failure("", err)
	}

	if err := s.patiently(ctx, func() error { return s.checkBucket(ctx) }); err != nil {
		return nil, s.failure("", err)
	}

	return s, nil
}

// keysTimeout limits a request for the keys of a role. On a host without roles nothing answers it.
const keysTimeout = 5 * time.Second

// keysOfHost looks for credentials in the environment, in the files of AWS tools, then with the host.
func keysOfHost() *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if disabled, _ := strconv.ParseBool(os.Getenv("AWS_EC2_METADATA_DISABLED")); !disabled {
		providers = append(providers, &credentials.IAM{Client: &http.Client{Timeout: keysTimeout}})
	}
	return credentials.NewChainCredentials(providers)
}

// checkKeys returns ErrUnusable if there are no keys.
func (s *S3) checkKeys(ctx context.Context, keys *credentials.Credentials) error {
	found, err := keys.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: ctx})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || found.AccessKeyID == "" || found.SecretAccessKey == "" {
		return fmt.Errorf("%w: it has no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "+
			"for a profile of ~/.aws/credentials", ErrUnusable)
	}
	return nil
}

func checkBucketName(name string) error {
	if err := s3utils.CheckValidBucketName(name); err != nil || strings.Contains(name, ":") {
		return badBucket("the name of a bucket must have 3 to 63 letters, digits, dots and dashes")
	}
	return nil
}

// region returns the region to sign for, or "" if the client must ask the server.
func (b Bucket) region() string {
	for _, region := range []string{b.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if region != "" {
			return region
		}
	}

	if s3utils.IsAmazonEndpoint(url.URL{Host: b.Endpoint}) {
		return ""
	}

	return anyRegion
}

// lookup returns where requests name the bucket: in the path or in the host.
func (b Bucket) lookup() minio.BucketLookupType {
	switch {
	case b.PathStyle == nil:
		return minio.BucketLookupAuto
	case *b.PathStyle:
		return minio.BucketLookupPath
	}
	return minio.BucketLookupDNS
}

func (b Bucket) url(name string) string {
	return (&url.URL{Scheme: "s3", Host: b.Name, Path: "/" + b.Prefix + name}).String()
}

// URL returns where the store is, with the server.
func (s *S3) URL() string { return Place{Bucket: &s.bucket}.String() }

func (s *S3) key(name string) string { return s.bucket.Prefix + name }

// CommitsAhead returns true: a server may be slow, above all when it assembles the parts of a multipart upload.
func (s *S3) CommitsAhead() bool { return true }

// Create begins a blob in a temporary file of this host, since the blob may have to be rewritten before it is
// sent.
func (s *S3) Create(ctx context.Context, owner string) (Blob, error) {
	if err := errors.Join(checkOwner(owner), ctx.Err()); err != nil {
		return nil, s.failure("", err)
	}

	file, err := newLocalFile(s.tempDir)
	if err != nil {
		return nil, s.failure("", err)
	}
	return &s3Blob{localFile: file, store: s, owner: owner, ctx: context.WithoutCancel(ctx)}, nil
}
