package postgres

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
)

func mustConfig(t rapid.TB, s dialect.Settings) *pgx.ConnConfig {
	t.Helper()
	config, err := newConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// genWord generates any text that can be in a connection string, except the empty one, which stands for a default.
func genWord() *rapid.Generator[string] {
	return rapid.String().Filter(func(s string) bool { return s != "" && !strings.Contains(s, "\x00") })
}

func TestPiecesReachTheDriverAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := Options{
			Host: "h.example.org", Port: rapid.IntRange(1, 65535).Draw(t, "port"), User: genWord().Draw(t, "user"),
			Database: genWord().Draw(t, "database"), Schema: genWord().Draw(t, "schema"), SSLMode: "require",
		}

		password := genWord().Draw(t, "password")
		config := mustConfig(t, dialect.Settings{Options: []any{server}, Password: dialect.Secret(password)})
		if config.Host != server.Host || int(config.Port) != server.Port || config.User != server.User ||
			config.Database != server.Database || config.Password != password || config.TLSConfig == nil {
			t.Fatalf("got %q %d %q %q %q", config.Host, config.Port, config.User, config.Database, config.Password)
		}

		if path := config.RuntimeParams["search_path"]; path != quoteIdentifier(server.Schema) {
			t.Fatalf("search path %s", path)
		}
	})
}

func TestSettingsCompleteURL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := genWord().Draw(t, "password")
		u := url.URL{Scheme: "postgres", User: url.UserPassword("u", password), Host: "h:1", Path: "/d"}
		urls := []string{
			u.String(), u.String() + "?", u.String() + "?application_name=a%20b", u.String() + "?sslmode=disable&",
			"postgres://u@h:1/d?password=" + encodeParameters([]keyword{{"p", password}})[2:],
			"host=h port=1 user=u dbname=d password=" + quoteValue(password),
		}

		location := rapid.SampledFrom(urls).Draw(t, "url")
		config := mustConfig(t, dialect.Settings{URL: dialect.Secret(location),
			Options: []any{Options{SSLMode: "verify-full"}}})
		if config.Password != password || config.Host != "h" || config.Database != "d" || config.TLSConfig == nil ||
			config.TLSConfig.ServerName != "h" || len(config.Fallbacks) != 0 {
			t.Fatalf("%q: password %q, %q at %q", location, config.Password, config.Database, config.Host)
		}
	})
}

func TestExecModeInForce(t *testing.T) {
	for _, tt := range []struct {
		url     dialect.Secret
		options Options
		want    string
	}{
		{"", Options{}, "exec"},
		{"", Options{TransactionPooler: true}, "exec"},
		{"", Options{TransactionPooler: true, ExecMode: "cache_statement"}, "cache_statement"},
		{"postgres://h/d?default_query_exec_mode=simple_protocol", Options{}, "simple_protocol"},
		{"host=h default_query_exec_mode=describe_exec", Options{}, "describe_exec"},
		{"host=h default_query_exec_mode=cache_describe", Options{TransactionPooler: true}, "cache_describe"},
		{"host=h default_query_exec_mode=exec", Options{ExecMode: "exec"}, "exec"},
	} {
		settings := dialect.Settings{URL: tt.url, Options: []any{tt.options}}
		if got := ExecMode(settings); got != tt.want {
			t.Errorf("%v: %s", settings, got)
		}

		tt.options.Host = "h"
		config := mustConfig(t, dialect.WithOptions(settings, tt.options))
		statements, descriptions := config.StatementCacheCapacity > 0, config.DescriptionCacheCapacity > 0
		if config.DefaultQueryExecMode != execModes[tt.want] || statements != (tt.want == "cache_statement") ||
			descriptions != (tt.want == "cache_describe") {
			t.Errorf("%s: %v with caches of %d and %d", tt.want, config.DefaultQueryExecMode,
				config.StatementCacheCapacity, config.DescriptionCacheCapacity)
		}
	}
}

func TestExecModeIsRefused(t *testing.T) {
	for _, settings := range []dialect.Settings{
		{Options: []any{Options{Host: "h", ExecMode: "fast"}}},
		{Options: []any{Options{Host: "h", ExecMode: "describe_exec", TransactionPooler: true}}},
		{URL: "host=h default_query_exec_mode=describe_exec", Options: []any{Options{TransactionPooler: true}}},
	} {
		_, err := newConfig(settings)
		if !errors.Is(err, dialect.ErrSettings) || !strings.Contains(err.Error(), "query_exec_mode") {
			t.Errorf("%v: %v", settings, err)
		}
	}
}

func TestSeveralServersAreAskedForTheWritable(t *testing.T) {
	for location, want := range map[string]bool{
		"postgres://a,b/d":                     true,
		"postgres://a:1,a:2/d?sslmode=disable": true,
		"host=a,b":                             true,
		"postgres://a/d":                       false,
		"postgres://a/d?target_session_attrs=read-only":    true, // what the URL asks for
		"postgres://a,b/d?target_session_attrs=any":        false,
		"host=a,b target_session_attrs=any sslmode=prefer": false,
	} {
		if got := mustConfig(t, dialect.Settings{URL: dialect.Secret(location)}).ValidateConnect != nil; got != want {
			t.Errorf("%s: %t", location, got)
		}
	}
	if mustConfig(t, dialect.Settings{Options: []any{Options{Host: "a,b"}}}).ValidateConnect == nil {
		t.Error("two hosts: any will do")
	}
}

func TestPoolerKeepsTheSearchPath(t *testing.T) {
	settings := dialect.Settings{Options: []any{Options{Host: "h", Schema: "s", TransactionPooler: true}}}
	if path, sent := mustConfig(t, settings).RuntimeParams["search_path"]; sent {
		t.Errorf("the session asks for %s", path)
	}
}

func TestLifetimesAreSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lifetime := time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "lifetime"))
		if got := jittered(lifetime); got > lifetime || got < lifetime-lifetime/10 {
			t.Fatalf("%v of %v", got, lifetime)
		}
	})

	seen := map[time.Duration]bool{}
	for range 10 {
		seen[jittered(time.Hour)] = true
	}
	if len(seen) < 5 {
		t.Errorf("10 connections have %d lifetimes", len(seen))
	}
}
