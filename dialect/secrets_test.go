package dialect_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestMalformedURLsHideTheirPassword(t *testing.T) {
	t.Chdir(t.TempDir())
	urls := []string{
		"mysql://u:hunter2@h/db", "postgres:/u:hunter2@h/db", "postgres:u:hunter2@h/db", "u:hunter2@h/db", "://u:hunter2@h",
		"postgresql//u:hunter2@h/db", "postgres/u:hunter2@h/db", "//u:hunter2@h/db", "x//u:hunter2@h/db", "u:1/hunter2@h/db",
		"postgres://u:hunter2@h:port/db", "postgres://u:hunter2@[::1/db", "postgres://u:hunter2@h/db?sslmode=nonsense",
		"postgres://h/db?password=hunter2&sslmode=nonsense", "host=h password='hunter2", "password=hunter2",
		"host=127.0.0.1 port=x password=hunter2", "sqlite://u:hunter2@h/x", "sqlite:///x?password=hunter2",
		"file://u:hunter2@h/x", "postgres://u:hunter2@127.0.0.1:1/db",
	}

	for _, special := range "@#:/?% \n'\\&=" {
		for _, password := range []string{"12%chunter2", "hunter2%c12", "a%chunter2"} {
			urls = append(urls, "postgres://u:"+fmt.Sprintf(password, special)+"@127.0.0.1:1/db")
		}
	}

	for _, malformed := range urls {
		log := bytes.Buffer{}
		settings := dialect.Settings{
			URL: dialect.Secret(malformed), Log: slog.New(slog.NewTextHandler(&log, nil)),
			Options: []any{postgres.Options{ConnectTimeout: time.Second}},
		}

		db, err := dialect.Open(t.Context(), settings)
		if err == nil {
			t.Fatalf("%s was opened: %s", malformed, db.Describe())
		}
		_, disagrees := engineFor("sqlite", malformed)
		failures := append(dialecttest.Chain(err), dialecttest.Chain(disagrees)...)
		dialecttest.RequireHidden(t, malformed, append(failures, settings, log.String())...)
	}
}

func TestOpenDatabaseHidesItsPassword(t *testing.T) {
	const password = dialecttest.Hidden + " @#:/?%"
	server := pgtest.Start(t, pgtest.WithPassword(password))
	without := withUser(t, server.URL(), url.User("postgres"))
	wrong := withUser(t, server.URL(), url.UserPassword("postgres", "x"))

	for name, settings := range map[string]dialect.Settings{
		"in the URL":         {URL: dialect.Secret(server.URL())},
		"beside the URL":     {URL: without, Password: password},
		"instead of the URL": {URL: wrong, Password: password},
	} {
		t.Run(name, func(t *testing.T) {
			db := dialecttest.Open(t, settings)
			dialecttest.RequireHidden(t, name, settings, &settings, db, *db, db.Settings, db.Describe())
		})
	}

	for _, refused := range []dialect.Secret{"", dialecttest.Hidden + " wrong"} {
		settings := dialect.Settings{URL: without, Password: refused}
		_, err := dialect.Open(t.Context(), settings)
		if class := (postgres.Engine{}).Classify(err); class != dialect.Unusable && refused != "" {
			t.Errorf("wrong password: class %d of %v", class, err)
		}
		if err == nil || !strings.Contains(err.Error(), "PostgreSQL database") {
			t.Errorf("%v doesn't name the database", err)
		}
		dialecttest.RequireHidden(t, "wrong password", dialecttest.Chain(err)...)
	}
}

func withUser(t *testing.T, location string, user *url.Userinfo) dialect.Secret {
	t.Helper()
	parsed, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	parsed.User = user
	return dialect.Secret(parsed.String())
}

func TestDescribeNamesTheDatabase(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		name := settings.URL.Reveal()
		if parsed, err := url.Parse(name); err == nil && parsed.Host != "" {
			name = parsed.Path[1:]
		}
		if !strings.Contains(db.Describe(), name) {
			t.Errorf("%q doesn't name %s", db.Describe(), name)
		}
	})
}

func TestErrSettings(t *testing.T) {
	for _, bad := range []dialect.Settings{
		{}, {Type: "mysql"}, {URL: "mysql://h/db"}, {URL: "sqlite://h/x"}, {URL: "postgres://h:port/db"}, {URL: "host='h"},
		{Type: "sqlite", URL: "postgres://h/db"}, {URL: "sqlite:///a?mode=ro"},
	} {
		if _, err := dialect.Open(t.Context(), bad); !errors.Is(err, dialect.ErrSettings) {
			t.Errorf("%s: %v", bad.URL.Reveal(), err)
		}
	}
}
