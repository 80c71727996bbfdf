package postgres_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// save writes a file that only its owner can read.
func save(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// piecesOf splits a URL into its parts.
func piecesOf(t *testing.T, location string) postgres.Options {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return postgres.Options{Host: u.Hostname(), Port: port, User: u.User.Username(), Database: u.Path[1:]}
}

// withOptions returns settings with only these options.
func withOptions(options postgres.Options) dialect.Settings {
	return dialect.Settings{Options: []any{options}}
}

// requireAdvice fails the test unless opening a database fails with the advice.
func requireAdvice(t *testing.T, settings dialect.Settings, want string) {
	t.Helper()
	db, err := dialect.Open(t.Context(), settings)
	if err == nil {
		t.Fatalf("it was opened: %s", errors.Join(db.Close()))
	}

	text := err.Error()
	if advised := (*dialect.Advised)(nil); errors.As(err, &advised) {
		text += "; " + advised.Advice()
	}
	if !strings.Contains(text, want) {
		t.Errorf("%v doesn't say: %s", text, want)
	}
	dialecttest.RequireHidden(t, want, dialecttest.Chain(err)...)
}

const encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

type tlsFixture struct {
	server postgres.Options
	// wrong is an authority that signed nothing here.
	wrong string
}

// startTLS starts a server with a certificate for 127.0.0.1, and makes settings that it lets in.
func startTLS(t *testing.T) tlsFixture {
	t.Helper()
	authority := pgtest.NewAuthority(t)
	running := pgtest.Start(t, pgtest.WithTLS(authority.Server("127.0.0.1"), authority))
	server, client := piecesOf(t, running.URL()), authority.Client("postgres")
	server.SSLMode = "verify-full"
	server.SSLRootCert = save(t, "ca.pem", authority.Certificate)
	server.SSLCert, server.SSLKey = save(t, "client.pem", client.Certificate), save(t, "client.key", client.Key)
	return tlsFixture{server, save(t, "wrong.pem", pgtest.NewAuthority(t).Certificate)}
}

func TestTLS(t *testing.T) {
	f := startTLS(t)
	for name, tt := range map[string]struct {
		change func(*postgres.Options)
		advice string
	}{
		"verify-full":           {func(*postgres.Options) {}, ""},
		"verify-ca, other name": {func(s *postgres.Options) { s.SSLMode, s.Host = "verify-ca", "localhost" }, ""},
		"require":               {func(s *postgres.Options) { s.SSLMode, s.SSLRootCert = "require", "" }, ""},
		"prefer":                {func(s *postgres.Options) { s.SSLMode, s.SSLRootCert = "prefer", "" }, ""},
		"wrong authority": {func(s *postgres.Options) { s.SSLRootCert = f.wrong },
			"set repo.sslrootcert to the file of the authority"},
		"wrong authority, verify-ca": {func(s *postgres.Options) { s.SSLMode, s.SSLRootCert = "verify-ca", f.wrong },
			"set repo.sslrootcert to the file of the authority"},
		"authority of the system": {func(s *postgres.Options) { s.SSLRootCert = "system" },
			"set repo.sslrootcert to the file of the authority"},
		"other name":     {func(s *postgres.Options) { s.Host = "localhost" }, "repo.sslmode to verify-ca"},
		"no certificate": {func(s *postgres.Options) { s.SSLCert, s.SSLKey = "", "" }, "set repo.sslcert and repo.sslkey"},
		"no encryption":  {func(s *postgres.Options) { s.SSLMode = "disable" }, "set repo.sslmode to require or verify-full"},
	} {
		t.Run(name, func(t *testing.T) {
			server := f.server
			tt.change(&server)
			settings := withOptions(server)
			settings.Password = dialecttest.Hidden
			if tt.advice != "" {
				requireAdvice(t, settings, tt.advice)
				return
			}
			if !dialecttest.Get[bool](t, dialecttest.Open(t, settings), encrypted) {
				t.Error("the connection is not encrypted")
			}
		})
	}
}

func TestTLSCompletesURL(t *testing.T) {
	f := startTLS(t)
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", dialecttest.Hidden+"@:/"), Path: "/postgres",
		Host: "127.0.0.1:" + strconv.Itoa(f.server.Port)}
	settings := withOptions(postgres.Options{SSLMode: f.server.SSLMode, SSLRootCert: f.server.SSLRootCert,
		SSLCert: f.server.SSLCert, SSLKey: f.server.SSLKey})
	settings.URL = dialect.Secret(u.String())
	db := dialecttest.Open(t, settings)
	if !dialecttest.Get[bool](t, db, encrypted) {
		t.Error("the connection is not encrypted")
	}
}

func TestServerWithoutTLS(t *testing.T) {
	server := piecesOf(t, pgtest.URL(t))
	server.SSLMode = "require"
	settings := withOptions(server)
	settings.Password = dialecttest.Hidden
	requireAdvice(t, settings,
		"the server has no TLS; to do without encryption, set repo.sslmode to disable")
	server.SSLMode = "prefer"
	if dialecttest.Get[bool](t, dialecttest.Open(t, withOptions(server)), encrypted) {
		t.Error("the connection is encrypted")
	}
}

func TestCertificateFilesAreChecked(t *testing.T) {
	authority := pgtest.NewAuthority(t)
	pair, other := authority.Client("u"), authority.Client("u")
	certificate, key := save(t, "u.pem", pair.Certificate), save(t, "u.key", pair.Key)
	otherKey, text := save(t, "other.key", other.Key), save(t, "text", []byte("hunter2"))
	missing := filepath.Join(t.TempDir(), "missing")
	const noPair = "repo.sslcert and repo.sslkey are no certificate and its key"

	for _, tt := range []struct {
		server postgres.Options
		want   string
	}{
		{postgres.Options{SSLRootCert: missing}, "repo.sslrootcert: open " + missing},
		{postgres.Options{SSLRootCert: t.TempDir()}, "repo.sslrootcert: read "},
		{postgres.Options{SSLRootCert: text}, "repo.sslrootcert: " + text + " holds no certificate"},
		{postgres.Options{SSLCert: missing, SSLKey: key}, "repo.sslcert: open " + missing},
		{postgres.Options{SSLCert: certificate, SSLKey: missing}, "repo.sslkey: open " + missing},
		{postgres.Options{SSLCert: certificate, SSLKey: otherKey}, noPair},
		{postgres.Options{SSLCert: certificate, SSLKey: text}, noPair},
		{postgres.Options{SSLCert: certificate}, "repo.sslcert and repo.sslkey belong together"},
	} {
		tt.server.Host = "127.0.0.1"
		requireAdvice(t, withOptions(tt.server), tt.want)
		if _, err := dialect.Open(t.Context(), withOptions(tt.server)); !errors.Is(err, dialect.ErrSettings) {
			t.Errorf("%v is no ErrSettings", err)
		}
	}

	_, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret("host=h sslrootcert=" + missing)})
	if !errors.Is(err, dialect.ErrSettings) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a file that the URL names: %v", err)
	}
}
