package store

import (
	"reflect"
	"strings"
	"testing"
)

// TestAStoreHasOneURL parses many ways to name a store. The URL names the same place, and is the URL of that.
func TestAStoreHasOneURL(t *testing.T) {
	for text, want := range map[string]string{
		"/var/shards":                  "file:///var/shards/",
		"/var//shards/":                "file:///var/shards/",
		"/var/x/../shards/.":           "file:///var/shards/",
		"file:///var/shards":           "file:///var/shards/",
		"file://localhost/var/shards/": "file:///var/shards/",
		"/":                            "file:///",
		"/two words":                   "file:///two%20words/",
		"/sh%20ards #1?":               "file:///sh%2520ards%20%231%3F/",
		"/odd:/name;a&b=c+d":           "file:///odd:/name;a&b=c+d/",
		"/ space ":                     "file:///%20space%20/",
		"/ümlaut/日本":                   "file:///%C3%BCmlaut/%E6%97%A5%E6%9C%AC/",
		"/not\xffutf8":                 "file:///not%FFutf8/",
		"/line\nbreak":                 "file:///line%0Abreak/",

		"none:": "none:",

		"s3://bucket":           "s3://bucket/",
		"s3://bucket/":          "s3://bucket/",
		"s3://bucket/a/b c":     "s3://bucket/a/b%20c/",
		"s3://bucket/a%3Fb%25/": "s3://bucket/a%3Fb%25/",
		"s3://bucket?endpoint=https://s3.amazonaws.com": "s3://bucket/",
		"s3://bucket?endpoint=http://s3.amazonaws.com":  "s3://bucket/?endpoint=http%3A%2F%2Fs3.amazonaws.com",
		"s3://bucket?endpoint=http://127.0.0.1:9":       "s3://bucket/?endpoint=http%3A%2F%2F127.0.0.1%3A9",
		"s3://bucket?endpoint=http://[::1]:9000":        "s3://bucket/?endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A9000",
		"s3://bucket/x?endpoint=https://h:9000/":        "s3://bucket/x/?endpoint=https%3A%2F%2Fh%3A9000",
		"s3://bucket/x/?endpoint=h:9000":                "s3://bucket/x/?endpoint=https%3A%2F%2Fh%3A9000",
		"s3://bucket?region=eu-central-1":               "s3://bucket/?region=eu-central-1",
		"s3://bucket?path_style=false":                  "s3://bucket/?path_style=false",
		"s3://bucket?path_style=1&region=a&endpoint=h":  "s3://bucket/?endpoint=https%3A%2F%2Fh&path_style=true&region=a",
	} {
		place, err := ParseURL(text)
		if err != nil || place.String() != want {
			t.Errorf("%q is at %s, want %s: %v", text, place, want, err)
			continue
		}

		again, err := ParseURL(want)
		if err != nil || again.String() != want || again.Bucket != nil && !reflect.DeepEqual(again, place) {
			t.Errorf("%s is at %s, %+v, want %+v: %v", want, again, again, place, err)
		}
	}
}

func TestBlobURL(t *testing.T) {
	for _, tt := range []struct{ store, name, want string }{
		{"file:///a%20b/", "x.car", "file:///a%20b/x.car"},
		{"file:///a", "x.car", "file:///a/x.car"},
		{"file:///", "x.car", "file:///x.car"},
		{"file:///a/", "x y?.car", "file:///a/x%20y%3F.car"},
		{"s3://bucket/", "x.car", "s3://bucket/x.car"},
		{"s3://bucket/p%3F/?endpoint=http%3A%2F%2Fh&region=a", "x.car", "s3://bucket/p%3F/x.car"},
		{"s3://bucket/p/", "", ""},
		{"none:", "x.car", "none:"},
		{"none:", "", ""},
		{"", "x.car", ""},
	} {
		if got := BlobURL(tt.store, tt.name); got != tt.want {
			t.Errorf("%q in %s is at %q, want %q", tt.name, tt.store, got, tt.want)
		}
	}
}

func TestShortNames(t *testing.T) {
	for url, want := range map[string]string{
		"/var/My shards/":              "My shards",
		"file:///a%20b/":               "a b",
		"/":                            "/",
		"none:":                        "none",
		"s3://bucket?endpoint=h":       "bucket",
		"s3://bucket/a/b%20c/":         "b c",
		"s3://my.bucket/2026?region=a": "2026",
	} {
		place, err := ParseURL(url)
		if got := place.ShortName(); err != nil || got != want {
			t.Errorf("%s: %q, want %q: %v", url, got, want, err)
		}
	}
}

func TestSamePlaces(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"file:///a/", "file:///a/", true},
		{"file:///a/", "file:///b/", false},
		{"file:///a/", "file:///a/b/", false},
		{"file:///a/", "", false},
		{"none:", "none:", true},
		{"s3://bucket/", "s3://bucket/", true},
		{"s3://bucket/p/", "s3://bucket/p/?endpoint=http%3A%2F%2Fh", true},
		{"s3://bucket/p/?endpoint=a", "s3://bucket/p/?endpoint=a", true},
		{"s3://bucket/p/?endpoint=a", "s3://bucket/p/?endpoint=b", false},
		{"s3://bucket/?endpoint=a", "s3://bucket/p/?endpoint=a", false},
		{"s3://bucket/", "s3://other/", false},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := SamePlace(pair[0], pair[1]); got != tt.same {
				t.Errorf("%s: %t", strings.Join(pair[:], " and "), got)
			}
		}
	}
}

// TestOpenStoresKnowTheirURLs opens directories and no store by all that ParseURL takes, also relative to here.
func TestOpenStoresKnowTheirURLs(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for text, want := range map[string]string{
		"a b?":                      Place{Directory: here}.String() + "a%20b%3F/",
		"./a b?/":                   Place{Directory: here}.String() + "a%20b%3F/",
		"file://" + here + "/a%20b": Place{Directory: here}.String() + "a%20b/",
		".":                         Place{Directory: here}.String(),
		"none:":                     NoneURL,
	} {
		opened, err := OpenURL(t.Context(), text, Options{})
		if err != nil || opened.URL() != want {
			t.Errorf("%s is at %v, want %s: %v", text, opened, want, err)
		}
	}
}
