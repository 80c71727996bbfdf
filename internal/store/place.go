package store

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Place is the place of a store, as a path or URL names it: a directory, a bucket or nothing.
type Place struct {
	// Directory is "" for a store that is not in a directory.
	Directory string
	// Bucket is nil for a store that is not in a bucket.
	Bucket *Bucket
}

// Bucket is the place of a store on an S3 server.
type Bucket struct {
	Name string
	// Prefix precedes the names of all blobs. It is "" or ends with a slash.
	Prefix string
	// Endpoint is the host of the server, with its port unless that is the default.
	Endpoint string
	// Plain is true if the server has no TLS.
	Plain bool
	// Region is "" if the environment or the server determines it.
	Region string
	// PathStyle is true if requests name the bucket in the path, and false if they name it in the host. If nil,
	// the endpoint determines it.
	PathStyle *bool
}

// String returns the URL of the place. It is the same for all texts that name the place, and its path ends with a
// slash. A directory has to be absolute.
func (p Place) String() string {
	switch {
	case p.Bucket != nil:
		return p.Bucket.String()
	case p.Directory == "":
		return NoneURL
	}
	return (&url.URL{Scheme: "file", Path: slashed(filepath.ToSlash(filepath.Clean(p.Directory)))}).String()
}

func slashed(path string) string { return strings.TrimSuffix(path, "/") + "/" }

// String returns the URL of the bucket. It leaves out what is the default.
func (b *Bucket) String() string {
	query := url.Values{}
	if b.Endpoint != amazonEndpoint || b.Plain {
		scheme := "https"
		if b.Plain {
			scheme = "http"
		}
		query.Set("endpoint", scheme+"://"+b.Endpoint)
	}

	if b.Region != "" {
		query.Set("region", b.Region)
	}
	if b.PathStyle != nil {
		query.Set("path_style", strconv.FormatBool(*b.PathStyle))
	}

	return (&url.URL{Scheme: "s3", Host: b.Name, Path: "/" + b.Prefix, RawQuery: query.Encode()}).String()
}

// BlobURL returns where a blob of a store is, from the URL of the store. It does not name the server of a bucket. It
// is "" for a blob of no name or no store, and NoneURL for one that is not kept.
func BlobURL(store, name string) string {
	place, _, _ := strings.Cut(store, "?")
	switch {
	case place == "" || name == "":
		return ""
	case place == NoneURL:
		return NoneURL
	}
	return slashed(place) + url.PathEscape(name)
}

// ShortName returns a name that people may call the store at a place: the last part of its path.
func (p Place) ShortName() string {
	switch {
	case p.Bucket != nil:
		return path.Base(path.Join(p.Bucket.Name, p.Bucket.Prefix))
	case p.Directory == "":
		return NoneIdentity
	}
	return filepath.Base(p.Directory)
}

// SamePlace reports whether two URLs of stores name the same place. A bucket without a server is the bucket of that
// name on any server.
func SamePlace(a, b string) bool {
	placeA, serverA, hasA := strings.Cut(a, "?")
	placeB, serverB, hasB := strings.Cut(b, "?")
	return placeA == placeB && (serverA == serverB || !hasA || !hasB)
}

// AbsoluteURL returns the URL of the place that a path or URL names. It returns ErrBadURL for any other text.
func AbsoluteURL(location string) (string, error) {
	place, err := ParseURL(location)
	if err == nil && place.Directory != "" {
		place.Directory, err = filepath.Abs(place.Directory)
	}
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return place.String(), nil
}

// SameDirectory reports whether two stores are in the same directory, perhaps under different paths.
func SameDirectory(a, b Store) bool {
	first, isFirst := a.(*Directory)
	second, isSecond := b.(*Directory)
	if !isFirst || !isSecond {
		return false
	}
	return sameFile(first.path, second.path)
}

// SameDirectoryAt reports whether two URLs name the same directory, perhaps by different paths.
func SameDirectoryAt(a, b string) bool {
	first, errFirst := ParseURL(a)
	second, errSecond := ParseURL(b)
	return errFirst == nil && errSecond == nil && sameFile(first.Directory, second.Directory)
}

func sameFile(a, b string) bool {
	here, errHere := os.Stat(a)
	there, errThere := os.Stat(b)
	return errHere == nil && errThere == nil && os.SameFile(here, there)
}
