package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrBadURL is returned for what names no store.
var ErrBadURL = errors.New("want a directory, file:///DIR, none: or s3://BUCKET/PREFIX?endpoint=URL&region=REGION")

// Place is what a path or a URL says about where a store is: in a directory, in a bucket, or nowhere.
type Place struct {
	// Directory is "" for a store that is in none.
	Directory string
	// Bucket is nil for a store that is in none.
	Bucket *Bucket
}

// Bucket is where an S3 server keeps a store.
type Bucket struct {
	Name string
	// Prefix is "", or ends with a slash.
	Prefix string
	// Endpoint is the host of the server, with its port if it has one of its own.
	Endpoint string
	// Plain tells that the server has no TLS.
	Plain bool
	// Region is "" when the environment or the server is to tell.
	Region string
	// PathStyle says whether the bucket stands in the path or in the host's name; nil leaves it to the endpoint.
	PathStyle *bool
}

// Options are what opening a store takes beside its place.
type Options struct {
	// TempDir is where blobs are written that can't be begun in the store itself. It is made if it is absent.
	TempDir string
	// Existing makes nothing: what is missing may just not be mounted. Opening returns fs.ErrNotExist when there is no
	// directory, and syscall.ENOTDIR when there is something else.
	Existing bool
	// RetryFor is how long a server that is away is waited for. Log, if not nil, hears of that.
	RetryFor time.Duration
	Log      *slog.Logger
}

// OpenURL opens the store at a path or URL. It returns ErrBadURL for what is none, and ErrUnusable when a bucket can't
// be used. Buckets are never made, directories are.
func OpenURL(ctx context.Context, location string, options Options) (Store, error) {
	place, err := ParseURL(location)
	switch {
	case err != nil:
		return nil, err
	case place.Bucket != nil:
		return OpenS3(ctx, *place.Bucket, options)
	case place.Directory == "":
		return NewNone(options.TempDir), nil
	case options.Existing:
		return opened(OpenExisting(place.Directory))
	}
	return opened(OpenDirectory(place.Directory))
}

func opened(directory *Directory, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return directory, nil
}

// ParseURL tells what a path or URL says. It returns ErrBadURL, and nothing of what may be a password.
func ParseURL(location string) (Place, error) {
	scheme, _, isURL := strings.Cut(strings.TrimSpace(location), ":")
	if slices.Contains([]string{"file", "s3", "none"}, scheme) {
		location = strings.TrimSpace(location) // a directory may begin or end with white space
	}
	switch {
	case location == "" || strings.ContainsRune(location, 0):
		return Place{}, ErrBadURL
	case location == NoneLocation:
		return Place{}, nil
	case isURL && scheme == "file":
		directory, err := fileDirectory(location)
		return Place{Directory: directory}, err
	case isURL && scheme == "s3":
		bucket, err := parseBucket(location)
		return Place{Bucket: bucket}, err
	case location == "none":
		return Place{}, fmt.Errorf("%w: none: is the store that keeps nothing, ./none a directory", ErrBadURL)
	case isURL && scheme == "none", strings.Contains(location, "://") && !strings.HasPrefix(location, "/"):
		return Place{}, ErrBadURL
	}
	return Place{Directory: location}, nil
}

func fileDirectory(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		!strings.HasPrefix(u.Path, "/") {
		return "", ErrBadURL
	}
	return filepath.Clean(u.Path), nil
}

func badBucket(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadURL, fmt.Sprintf(format, args...))
}

func parseBucket(location string) (*Bucket, error) {
	u, err := url.Parse(location)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, badBucket("this S3 URL can't be read")
	}
	if u.User != nil {
		return nil, badBucket("an S3 URL holds no keys: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a " +
			"profile of ~/.aws/credentials")
	}
	prefix, err := bucketPrefix(u.Path)
	if err != nil {
		return nil, err
	}
	b := &Bucket{Name: u.Host, Prefix: prefix, Endpoint: amazonEndpoint}
	if err := checkBucketName(b.Name); err != nil {
		return nil, err
	}
	return b, b.parameters(u.RawQuery)
}

// bucketPrefix refuses what would make other keys of what looks like the same prefix.
func bucketPrefix(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return "", badBucket("the prefix has an empty part, or one of dots alone")
		}
	}
	return path + "/", nil
}

// parameters takes in the query of an S3 URL.
func (b *Bucket) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return badBucket("its parameters can't be read")
	}
	for name, given := range values {
		if !slices.Contains([]string{"endpoint", "region", "path_style"}, name) {
			return badBucket("it has a parameter that is none of endpoint, region and path_style")
		}
		if len(given) > 1 {
			return badBucket("%s is given twice", name)
		}
	}
	b.Region = values.Get("region")
	if style := values.Get("path_style"); style != "" {
		pathStyle, err := strconv.ParseBool(style)
		if err != nil {
			return badBucket("path_style is true or false")
		}
		b.PathStyle = &pathStyle
	}
	if endpoint := values.Get("endpoint"); endpoint != "" {
		return b.server(endpoint)
	}
	return nil
}

// server takes in an endpoint: a URL, or a host that has TLS.
func (b *Bucket) server(endpoint string) error {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return badBucket("the endpoint is http:// or https://, with a host and no more than its port")
	}
	b.Endpoint, b.Plain = u.Host, u.Scheme == "http"
	return nil
}
