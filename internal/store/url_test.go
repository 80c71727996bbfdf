package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestPlacesOfStores(t *testing.T) {
	yes := true
	for location, want := range map[string]Place{
		"/var/shards":             {Directory: "/var/shards"},
		"shards":                  {Directory: "shards"},
		"./a:b":                   {Directory: "./a:b"},
		"/odd://name":             {Directory: "/odd://name"},
		"./b2:bucket/x":           {Directory: "./b2:bucket/x"},
		"2026: photos":            {Directory: "2026: photos"},
		"file:///a%20b/":          {Directory: "/a b"},
		"file://localhost/a":      {Directory: "/a"},
		"none:":                   {},
		"s3://bucket":             {Bucket: &Bucket{Name: "bucket", Endpoint: "s3.amazonaws.com"}},
		"s3://bucket/":            {Bucket: &Bucket{Name: "bucket", Endpoint: "s3.amazonaws.com"}},
		"s3://my.bucket/a/b%20c/": {Bucket: &Bucket{Name: "my.bucket", Prefix: "a/b c/", Endpoint: "s3.amazonaws.com"}},
		"s3://bucket/a?endpoint=http://127.0.0.1:9000&region=eu-1&path_style=true": {Bucket: &Bucket{
			Name: "bucket", Prefix: "a/", Endpoint: "127.0.0.1:9000", Plain: true, Region: "eu-1", PathStyle: &yes}},
		"s3://bucket?endpoint=storage.example.org": {Bucket: &Bucket{Name: "bucket", Endpoint: "storage.example.org"}},
		"s3://bucket?endpoint=https://h:1/":        {Bucket: &Bucket{Name: "bucket", Endpoint: "h:1"}},
	} {
		if got, err := ParseURL(location); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", location, got, err)
		}
	}
}

func TestWhatIsNoStore(t *testing.T) {
	for location, says := range map[string]string{
		"":                                 "want",
		"a\x00b":                           "want",
		"file:relative":                    "want",
		"file://host/x":                    "want",
		"file:///x?secret=1":               "want",
		"http://host/secret":               "want",
		"none":                             "./none",
		"sftp:host:/x":                     "there are no sftp: stores",
		"b2:bucket/x":                      "there are no b2: stores",
		"gs://bucket/x":                    "there are no gs: stores",
		`C:\shards`:                        "there are no C: stores",
		"none:/x":                          "want",
		"none://":                          "want",
		"s3:bucket":                        "malformed",
		"s3://":                            "name of a bucket",
		"s3://a":                           "name of a bucket",
		"s3://bucket:9000/x":               "name of a bucket",
		"s3://key:secret@bucket/x":         "must not contain keys",
		"s3://bucket/a//b":                 "prefix",
		"s3://bucket/../b":                 "prefix",
		"s3://bucket/x#y":                  "malformed",
		"s3://bucket/%zz":                  "malformed",
		"s3://bucket?secret_key=secret":    "only parameters are endpoint",
		"s3://bucket?region=a&region=b":    "twice",
		"s3://bucket?path_style=perhaps":   "true or false",
		"s3://bucket?endpoint=ftp://host":  "endpoint",
		"s3://bucket?endpoint=http://":     "endpoint",
		"s3://bucket?endpoint=http://h/p":  "endpoint",
		"s3://b.b?endpoint=http://u:s@h":   "endpoint",
		"s3://bucket?endpoint=secret;a=%%": "parameters",
	} {
		_, err := ParseURL(location)
		if !errors.Is(err, ErrBadURL) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", location, err, says)
		}
	}
}

func TestOpeningMakesDirectoriesOnlyWhenItMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	existing := Options{TempDir: t.TempDir(), Existing: true}
	if _, err := OpenURL(t.Context(), path, existing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}

	if _, err := OpenURL(t.Context(), path, Options{}); err != nil {
		t.Error(err)
	}
	if _, err := OpenURL(t.Context(), "file://"+path, existing); err != nil {
		t.Error(err)
	}

	if _, err := OpenURL(t.Context(), "/dev/null", existing); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("%v", err)
	}
	if _, err := OpenURL(t.Context(), "ftp://x", Options{}); !errors.Is(err, ErrBadURL) {
		t.Errorf("%v", err)
	}
}
