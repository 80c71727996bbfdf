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

// ErrBadURL is returned for a location that is not the path or URL of a store.
var ErrBadURL = errors.New("want a directory, file:///DIR, none: or s3://BUCKET/PREFIX?endpoint=URL&region=REGION")

// Options are the options for opening a store.
type Options struct {
	// TempDir is the directory for blobs that cannot be begun in the store itself. It is made if it does not
	// exist.
	TempDir string
	// Existing is true if opening must not make a missing directory, since it may just not be mounted. Opening
	// then returns fs.ErrNotExist if nothing is there, and syscall.ENOTDIR if the place is not a directory.
	Existing bool
	// RetryFor is how long to wait for a server that is away. Log, if not nil, reports such waits.
	RetryFor time.Duration
	Log      *slog.Logger
}

// OpenURL opens the store at a path or URL. It returns ErrBadURL for any other text, and ErrUnusable if a bucket
// cannot be used. It makes missing directories, but never buckets.
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

// ParseURL returns the place that a path or URL names. It returns ErrBadURL for any other text. The error
// contains nothing that may be a password.
func ParseURL(location string) (Place, error) {
	scheme, _, isURL := strings.Cut(strings.TrimSpace(location), ":")
	if slices.Contains([]string{"file", "s3", "none"}, scheme) {
		// The path of a directory may begin or end with white space; a URL does not.
		location = strings.TrimSpace(location)
	}

	switch {
	case location == "" || strings.ContainsRune(location, 0):
		return Place{}, ErrBadURL
	case location == NoneURL:
		return Place{}, nil
	case isURL && scheme == "file":
		directory, err := fileDirectory(location)
		return Place{Directory: directory}, err
	case isURL && scheme == "s3":
		bucket, err := parseBucket(location)
		return Place{Bucket: bucket}, err
	case location == "none":
		return Place{}, fmt.Errorf("%w: none: is the store that keeps nothing; for a directory of that name, use ./none",
			ErrBadURL)
	case isURL && scheme == "none":
		return Place{}, ErrBadURL
	case isURL && isScheme(scheme) && !filepath.IsAbs(location):
		return Place{}, fmt.Errorf("%w: there are no %s: stores; for a directory of that name, begin with ./", ErrBadURL,
			scheme)
	}

	return Place{Directory: location}, nil
}

// isScheme reports whether text can be the scheme of a URL, or the letter of a drive.
func isScheme(text string) bool {
	letter := func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }
	other := func(r rune) bool { return !letter(r) && (r < '0' || '9' < r) && !strings.ContainsRune("+-.", r) }
	return text != "" && letter(rune(text[0])) && !strings.ContainsFunc(text, other)
}

// fileDirectory returns the directory that a file URL names.
func fileDirectory(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		!strings.HasPrefix(u.Path, "/") {
		return "", ErrBadURL
	}
	return filepath.Clean(u.Path), nil
}

// badBucket returns an error about an S3 URL.
func badBucket(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadURL, fmt.Sprintf(format, args...))
}

// parseBucket parses an S3 URL.
func parseBucket(location string) (*Bucket, error) {
	u, err := url.Parse(location)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, badBucket("this S3 URL is malformed")
	}

	if u.User != nil {
		return nil, badBucket("an S3 URL must not contain keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a " +
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

// bucketPrefix returns the prefix that the path of an S3 URL names. It refuses spellings that look like the same
// prefix but would give other keys.
func bucketPrefix(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return "", badBucket("the prefix has a part that is empty, . or ..")
		}
	}
	return path + "/", nil
}

// parameters sets the fields that the query of an S3 URL names.
func (b *Bucket) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return badBucket("its parameters are malformed")
	}

	for name, given := range values {
		if !slices.Contains([]string{"endpoint", "region", "path_style"}, name) {
			return badBucket("the only parameters are endpoint, region and path_style")
		}
		if len(given) > 1 {
			return badBucket("%s is given twice", name)
		}
	}

	b.Region = values.Get("region")
	if style := values.Get("path_style"); style != "" {
		pathStyle, err := strconv.ParseBool(style)
		if err != nil {
			return badBucket("path_style must be true or false")
		}
		b.PathStyle = &pathStyle
	}

	if endpoint := values.Get("endpoint"); endpoint != "" {
		return b.server(endpoint)
	}
	return nil
}

// server sets the endpoint: a URL, or a host that has TLS.
func (b *Bucket) server(endpoint string) error {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}

	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return badBucket("the endpoint must be http:// or https://, a host and perhaps a port")
	}
	b.Endpoint, b.Plain = u.Host, u.Scheme == "http"
	return nil
}
