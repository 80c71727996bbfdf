package dialect_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestForInfersEngine(t *testing.T) {
	for url, want := range map[string]string{
		"":                        "sqlite",
		"guppy.db":                "sqlite",
		"/a/b:c/guppy.db":         "sqlite",
		"./a:b.db":                "sqlite",
		"dir/a:b@c.db":            "sqlite",
		"/a/host=b dbname=c.db":   "sqlite",
		"file:///a/b.db":          "sqlite",
		"file:b.db":               "sqlite",
		"sqlite:///a/b.db":        "sqlite",
		"postgres://h/db":         "postgres",
		"postgresql://u:p@h/db":   "postgres",
		"host=h":                  "postgres",
		"user = u dbname = d":     "postgres",
		"password='a b' host=h":   "postgres",
		"postgres:/u:p@h/db":      "",
		"mysql://u:p@h/db":        "",
		"POSTGRES://h/db":         "",
		"u:p@h/db":                "",
		"https://h/?host=dbname=": "",
	} {
		d, err := dialect.For("", dialect.Secret(url))
		if d.Name != want || errors.Is(err, dialect.ErrSettings) != (want == "") {
			t.Errorf("%q is for %q, %v; want %q", url, d.Name, err, want)
		}
	}
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
	} {
		d, err := dialect.For(tt.name, dialect.Secret(tt.url))
		if tt.ok && (err != nil || d.Name != tt.name) || !tt.ok && !errors.Is(err, dialect.ErrSettings) {
			t.Errorf("%q with %q: %q, %v", tt.name, tt.url, d.Name, err)
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
		dialect dialect.Dialect
		want    string
	}{
		{dialect.SQLite(), "SELECT ? + ?"},
		{dialect.Postgres(), "SELECT $1 + $2"},
	} {
		if got, err := tt.dialect.Placeholder.ReplacePlaceholders("SELECT ? + ?"); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v", tt.dialect.Name, got, err)
		}
	}
}
