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
	// anyRegion is what servers that know no regions expect.
	anyRegion = "us-east-1"
)

// S3 is a store in a bucket of an S3 server: one object a blob, under its name behind the prefix.
type S3 struct {
	client  *minio.Core
	bucket  Bucket
	tempDir string
	// retryFor is how long a server that is away is waited for, and log hears of that; it may be nil. Away is true
	// meanwhile.
	retryFor time.Duration
	log      *slog.Logger
	away     atomic.Bool
	// clock and http are those of the requests that the server refuses after a time, trashFor is that of a removal.
	clock    *clock
	http     *http.Client
	trashFor time.Duration
}

// OpenS3 returns the store in a bucket, which has to be there. Credentials are those of the environment, of the files
// that the tools of AWS use, or of the host's role. It returns ErrUnusable when there are none, or the bucket can't be
// used.
func OpenS3(ctx context.Context, bucket Bucket, options Options) (*S3, error) {
	s := &S3{bucket: bucket, tempDir: options.TempDir, retryFor: options.RetryFor, log: options.Log, trashFor: trashFor}
	keys := keysOfHost()
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

// keysTimeout bounds how long a role is asked for: on a host that has none nobody answers.
const keysTimeout = 5 * time.Second

func keysOfHost() *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if disabled, _ := strconv.ParseBool(os.Getenv("AWS_EC2_METADATA_DISABLED")); !disabled {
		providers = append(providers, &credentials.IAM{Client: &http.Client{Timeout: keysTimeout}})
	}
	return credentials.NewChainCredentials(providers)
}

func (s *S3) checkKeys(ctx context.Context, keys *credentials.Credentials) error {
	found, err := keys.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: ctx})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || found.AccessKeyID == "" || found.SecretAccessKey == "" {
		return fmt.Errorf("%w: there are no keys for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "+
			"for a profile of ~/.aws/credentials", ErrUnusable)
	}
	return nil
}

func checkBucketName(name string) error {
	if err := s3utils.CheckValidBucketName(name); err != nil || strings.Contains(name, ":") {
		return badBucket("a bucket has a name of 3 to 63 letters, digits, dots and dashes")
	}
	return nil
}

func (b Bucket) region() string {
	for _, region := range []string{b.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if region != "" {
			return region
		}
	}
	if s3utils.IsAmazonEndpoint(url.URL{Host: b.Endpoint}) {
		return "" // the server is asked
	}
	return anyRegion
}

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

// Location is the URL of a committed blob. It says nothing of the server.
func (s *S3) Location(name string) string { return s.bucket.url(name) }

func (s *S3) key(name string) string { return s.bucket.Prefix + name }

// CommitsAhead is true: a server may take its time, above all to put the parts of an upload together.
func (s *S3) CommitsAhead() bool { return true }

// Create begins a blob in a temporary file of this host, since it may have to be written again before it is sent.
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
