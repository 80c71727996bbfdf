package dialect_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// engineFor returns the name of the engine of a URL, or "".
func engineFor(name, url string) (string, error) {
	engine, err := dialect.EngineOf(dialect.Settings{Type: name, URL: dialect.Secret(url)})
	if engine == nil {
		return "", err
	}
	return engine.Facts().Name, err
}

func TestForInfersEngine(t *testing.T) {
	for url, want := range map[string]string{
		"":                                   "sqlite",
		"guppy.db":                           "sqlite",
		"/a/b:c/guppy.db":                    "sqlite",
		"/x/a=b.db":                          "sqlite",
		"/x/host=a://b":                      "sqlite",
		"/a/host=b dbname=c.db":              "sqlite",
		"//srv/a:b@c.db":                     "sqlite",
		"./host=a":                           "sqlite",
		"./a:b.db":                           "sqlite",
		"./u:p@h/db":                         "sqlite",
		"./postgresql//u:p@h/db":             "sqlite",
		"../u:p@h/db":                        "sqlite",
		"dir/a:b@c.db":                       "sqlite",
		"dir//b@c.db":                        "sqlite",
		"me@home/guppy.db":                   "sqlite",
		"postgres/guppy.db":                  "sqlite",
		"postgresql":                         "sqlite",
		"file:///a/b.db":                     "sqlite",
		"file:/a/b.db":                       "sqlite",
		"file:b.db":                          "sqlite",
		"file:a host=b.db":                   "sqlite",
		"sqlite:///a/b.db":                   "sqlite",
		"sqlite:////a/b.db":                  "sqlite",
		"postgres://h/db":                    "postgres",
		"postgres:///db?host=/run":           "postgres",
		"postgresql://u:p@h/db":              "postgres",
		"postgresql://u:p%40@h:1,[::1]:2/db": "postgres",
		"host=h":                             "postgres",
		"user = u dbname = d":                "postgres",
		"password='a b' host=h":              "postgres",
		`user = 'a b' password='it\'s'`:      "postgres",
		"user=u password=a:b@c host=h":       "postgres",
		"gssencmode=disable host=h":          "postgres",
		"host=h password=a://b":              "postgres",
	} {
		if name, err := engineFor("", url); err != nil || name != want {
			t.Errorf("%q is for %q, %v; want %q", url, name, err, want)
		}
	}
}

func TestForRefusesURL(t *testing.T) {
	const (
		noURL    = "not a database URL: want postgres://"
		postgres = "not a valid postgres:// URL"
		keywords = "not a valid connection string"
		file     = "three slashes"
	)

	for url, want := range map[string]string{
		"mysql://u:p@h/db":         noURL,
		"POSTGRES://h/db":          noURL,
		"Postgres://h/db":          noURL,
		"https://h/?host=dbname=":  noURL,
		"postgres:u@h/db":          noURL,
		"postgres:/u:p@h/db":       noURL,
		"postgresql//u:p@h/db":     noURL,
		"postgresql//h/db":         noURL,
		"postgresql/u:p@h/db":      noURL,
		"Postgres//u:p@h/db":       noURL,
		"postgresql;//u:p/q@h/db":  noURL,
		"anything//u:p@h/db":       noURL,
		"sqlite//var/g.db":         noURL,
		"//u:p@h/db":               noURL,
		"//u:p/q@h/db":             noURL,
		"://u:p@h/db":              noURL,
		"u:p@h/db":                 noURL,
		"u:p/q@h/db":               noURL,
		"a:b.db":                   noURL,
		"postgres://u:p#q@h/db":    postgres,
		"postgres://u:1/q@h/db":    postgres,
		"postgres://u:1?q@h/db":    postgres,
		"postgres://u:p@q@h/db":    postgres,
		"postgres://u:p%zz@h/db":   postgres,
		"postgres://h/db?user=%zz": postgres,
		"postgres://h:x/db":        postgres,
		"postgres://[::1/db":       postgres,
		"host=h password='x":       keywords,
		"host=h oops":              keywords,
		"oops host=h password=p":   keywords,
		`host=h x=\`:               keywords,
		"sqlite://x.db":            file,
		"sqlite:x.db":              file,
		"sqlite:/x.db":             file,
		"sqlite:///":               file,
		"sqlite:///x?mode=ro":      file,
		"sqlite:///x#y":            file,
		"sqlite:///x%zz":           file,
		"file:g.db?mode=rw":        file,
		"file:g.db#x":              file,
		"file:":                    file,
		"file://u:p@h/x":           file,
		"file://host/x":            file,
	} {
		name, err := engineFor("", url)
		if !errors.Is(err, dialect.ErrSettings) || name != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is for %q, %v; want %q", url, name, err, want)
		}
	}
}

// TestURLWithEscapedPasswordIsTaken tries any user and password, properly escaped.
func TestURLWithEscapedPasswordIsTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := url.URL{Scheme: "postgres", User: url.UserPassword(rapid.String().Draw(t, "user"),
			rapid.String().Draw(t, "password")), Host: "h:5432", Path: "/db"}
		if name, err := engineFor("", u.String()); err != nil || name != postgres.Name {
			t.Fatalf("%s is for %q, %v", u.String(), name, err)
		}
	})
}

func TestForHoldsNameAgainstURL(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		ok        bool
	}{
		{"sqlite", "", true},
		{"postgres", "", true},
		{"sqlite", "a.db", true},
		{"postgres", "postgres://h/db", true},
		{"postgres", "host=h dbname=d", true},
		{"sqlite", "postgres://h/db", false},
		{"sqlite", "host=h dbname=d", false},
		{"postgres", "a.db", false},
		{"postgres", "sqlite:///a.db", false},
		{"mysql", "", false},
		{"mysql", "mysql://h/db", false},
		{"SQLite", "", false},
		{"postgres", "postgres://h:x/db", false},
		{"sqlite", "sqlite://x", false},
	} {
		name, err := engineFor(tt.name, tt.url)
		if tt.ok && (err != nil || name != tt.name) || !tt.ok && !errors.Is(err, dialect.ErrSettings) {
			t.Errorf("%q with %q: %q, %v", tt.name, tt.url, name, err)
		}
	}
}

func TestUnknownNameIsRedacted(t *testing.T) {
	_, err := engineFor("postgres://u:hunter2@h/db", "")
	if !errors.Is(err, dialect.ErrSettings) || !strings.Contains(err.Error(), "postgres, sqlite") {
		t.Errorf("got %v", err)
	}
	dialecttest.RequireHidden(t, "type", dialecttest.Chain(err)...)
}

func TestDefaultURL(t *testing.T) {
	for _, name := range dialect.Names() {
		engine, err := dialect.EngineOf(dialect.Settings{Type: name})
		if err != nil {
			t.Fatal(err)
		}
		_, found := dialect.DefaultURL(engine, "/d")
		if !found && name == sqlite.Name || found && engine.Facts().Server {
			t.Errorf("%s: %t", name, found)
		}
	}

	for dir, want := range map[string]string{
		"/d": "/d/guppy.db", "d": "./d/guppy.db", "../d": "./../d/guppy.db", "host=h": "./host=h/guppy.db",
		"u:p@h": "./u:p@h/guppy.db", "//u:p@h": "/u:p@h/guppy.db", ".": "./guppy.db",
	} {
		got := sqlite.Engine{}.DefaultURL(dir)
		if name, err := engineFor("", got.Reveal()); got.Reveal() != want || err != nil || name != "sqlite" {
			t.Errorf("%q: %q for %q, %v", dir, got.Reveal(), name, err)
		}
	}
}

func TestHoldsPassword(t *testing.T) {
	for url, want := range map[string]bool{
		"postgres://u:p@h/db":               true,
		"postgres://h/db?password=p":        true,
		"postgres://h/db?p%61ssword=p":      true,
		"host=h password=p":                 true,
		"host=h password = 'a://b'":         true,
		"postgres://u@h/db?sslmode=disable": false,
		"postgres://u:@h/db?password=":      false,
		"host=h password=''":                false,
		"host=h dbname=d":                   false,
		"/x/u:p@h.db":                       false,
		"./postgres://u:p@h/db":             false,
		"file:///x/password=p":              false,
		"file:///x/a:b@c":                   false,
		"":                                  false,
	} {
		if got := dialect.HoldsPassword(dialect.Secret(url)); got != want {
			t.Errorf("%q: %t", url, got)
		}
	}
}

func TestNames(t *testing.T) {
	if names := dialect.Names(); !slices.Equal(names, []string{"postgres", "sqlite"}) {
		t.Errorf("names %v", names)
	}
}

func TestPlaceholders(t *testing.T) {
	for _, tt := range []struct {
		engine dialect.Engine
		want   string
	}{
		{sqlite.Engine{}, "SELECT ? + ?"},
		{postgres.Engine{}, "SELECT $1 + $2"},
	} {
		facts := tt.engine.Facts()
		if got, err := facts.Placeholder.ReplacePlaceholders("SELECT ? + ?"); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v", facts.Name, got, err)
		}
	}
}
