//go:build long

package pgtest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestServerStopsAndStarts(t *testing.T) {
	server := pgtest.Start(t)
	db := open(t, server.URL())
	execute(t, db, "CREATE TABLE kept (n BIGINT)")

	server.Stop(pgtest.Immediate)
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}

	server.Start()
	server.Restart()
	execute(t, open(t, server.SocketURL()), "INSERT INTO kept VALUES (1)")
}

func TestServerWithPassword(t *testing.T) {
	server := pgtest.Start(t, pgtest.WithPassword("pass word"))
	execute(t, open(t, server.URL()), "SELECT 1")

	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); password != "pass word" {
		t.Errorf("password %q in the URL", password)
	}

	u.User = url.User(u.User.Username())
	if err := open(t, u.String()).PingContext(t.Context()); err == nil {
		t.Error("let in without the password")
	}
}

func TestURLOfNamedServer(t *testing.T) {
	server := pgtest.Start(t)
	t.Setenv(pgtest.EnvURL, server.URL())
	named := pgtest.URL(t)

	own, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(named, own.Host) {
		t.Errorf("%s isn't on the named server", named)
	}
	execute(t, open(t, named), "SELECT 1")
}
