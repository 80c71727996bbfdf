// Package pgtest gives tests a real PostgreSQL server: the one that GUPPY_TEST_POSTGRES_URL names, or else one
// started from installed programs. Tests never skip because there is no server: they fail and say how to get one.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// EnvURL is the environment variable that names an existing server, as a postgres:// URL with the right to create
// databases.
const EnvURL = "GUPPY_TEST_POSTGRES_URL"

const (
	startTimeout = 2 * time.Minute
	adminTimeout = time.Minute
)

const howToGet = "these tests need PostgreSQL: install its server (apt-get install postgresql), or run the one in " +
	"compose.yaml and set " + EnvURL

// shared is the server of a test process. A process has one TestMain, hence the global.
var shared sharedServer

type sharedServer struct {
	mu      sync.Mutex
	cluster *cluster.Cluster
	// filled is the database that FilledURL copies, "" if there is none yet.
	filled string
}

// Main runs the tests of a package and exits with their status once the shared server is gone. Call it from
// TestMain. Without Main the server ends shortly after the test process.
func Main(m *testing.M) {
	status := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the test server:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// URL makes a fresh database for one test and returns its URL. The database is dropped when the test ends, even if
// clients are still connected.
func URL(tb testing.TB) string {
	tb.Helper()
	return createdFrom(tb, sharedURL(tb), "template0")
}

// FilledURL is like URL for a copy of a database that fill has filled. It calls fill once per process, whichever
// fill that is.
func FilledURL(tb testing.TB, fill func(url string) error) string {
	tb.Helper()
	server := sharedURL(tb)
	template, err := shared.fill(server, fill)
	if err != nil {
		tb.Fatalf("fill a database: %v", err)
	}
	return createdFrom(tb, server, template)
}

func sharedURL(tb testing.TB) *url.URL {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := shared.url(ctx)
	if err != nil {
		fatal(tb, err)
	}
	return server
}

// createdFrom makes a database that is dropped with the test.
func createdFrom(tb testing.TB, server *url.URL, template string) string {
	tb.Helper()
	name := randomName()
	if err := execute(server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if err := dropDatabase(server, name); err != nil {
			tb.Errorf("drop database %s: %v", name, err)
		}
	})
	return withDatabase(server, name)
}

// fatal ends a test that has no server, with advice if there is any.
func fatal(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, cluster.ErrNoPrograms) {
		tb.Fatalf("%v; %s", err, howToGet)
	}
	if errors.Is(err, cluster.ErrNoBouncer) {
		tb.Fatalf("%v; %s", err, howToGetBouncer)
	}
	tb.Fatalf("PostgreSQL for tests: %v", err)
}

// url returns the administrator's URL of the server to test on. It starts the server if there is none yet.
func (s *sharedServer) url(ctx context.Context) (*url.URL, error) {
	if text := os.Getenv(EnvURL); text != "" {
		return parseURL(text)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		started, err := cluster.New(ctx, cluster.Options{})
		if err != nil {
			return nil, err
		}
		s.cluster = started
	}
	return parseURL(s.cluster.URL())
}

// fill makes the database to copy, unless it exists.
func (s *sharedServer) fill(server *url.URL, fill func(url string) error) (name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled != "" {
		return s.filled, nil
	}

	name = randomName()
	if err := execute(server, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return "", err
	}
	if err := fill(withDatabase(server, name)); err != nil {
		return "", errors.Join(err, dropDatabase(server, name))
	}

	s.filled = name
	return name, nil
}

func (s *sharedServer) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := os.Getenv(EnvURL); text != "" && s.filled != "" { // that server stays
		server, err := parseURL(text)
		if err != nil {
			return err
		}
		err = dropDatabase(server, s.filled)
		s.filled = ""
		return err
	}

	if s.cluster == nil {
		return nil
	}
	err = s.cluster.Close()
	s.cluster, s.filled = nil, ""
	return err
}

// parseURL drops the parser's own error, which would show the password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New(EnvURL + " isn't a postgres:// URL")
	}
	return u, nil
}

func withDatabase(server *url.URL, name string) string {
	u := *server
	u.Path = "/" + name
	return u.String()
}

// administrator is the connection for administrative statements. It is kept, because the server starts a process for
// each connection.
var administrator struct {
	mu   sync.Mutex
	conn *pgx.Conn
	url  string
}

// execute runs one administrative statement. It takes no context: clean-up runs after a test's context has ended.
func execute(server *url.URL, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()

	a := &administrator
	a.mu.Lock()
	defer a.mu.Unlock()

	// Another server may be named meanwhile, and a test may have broken the connection.
	if a.conn == nil || a.url != server.String() || a.conn.Ping(ctx) != nil {
		if a.conn != nil {
			_ = a.conn.Close(ctx)
		}
		conn, err := pgx.Connect(ctx, server.String())
		if err != nil {
			return err
		}
		a.conn, a.url = conn, server.String()
	}

	_, err := a.conn.Exec(ctx, statement)
	return err
}

func dropDatabase(server *url.URL, name string) error {
	return execute(server, "DROP DATABASE "+name+" WITH (FORCE)")
}

func randomName() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // It never fails.
	return "guppy_test_" + hex.EncodeToString(random[:])
}
