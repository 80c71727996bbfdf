//go:build long

package cluster

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// envOrphan makes the test binary a process that starts a cluster and never stops it.
const envOrphan = "GUPPY_TEST_CLUSTER_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(envOrphan) != "" {
		startAndHang()
	}
	os.Exit(m.Run())
}

func startAndHang() {
	c, err := New(context.Background(), Options{})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(c.URL() + "\n" + c.dir + "\n" + c.socketDir + "\n")
	for {
		time.Sleep(time.Hour)
		_ = c.URL() // The garbage collector must not free the cluster: its pipe is the watchdog's leash.
	}
}

func start(t *testing.T, options Options) *Cluster {
	t.Helper()
	c, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func query(ctx context.Context, url, statement string) (answer string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return answer, conn.QueryRow(ctx, statement).Scan(&answer)
}

func mustQuery(t *testing.T, url, statement string) string {
	t.Helper()
	answer, err := query(t.Context(), url, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return answer
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), statement)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestStopAndStartKeepDataAndURL(t *testing.T) {
	c := start(t, Options{})
	url := c.URL()
	execute(t, url, "CREATE TABLE kept AS SELECT 'yes' AS answer")
	for _, mode := range []Mode{Fast, Immediate} {
		if err := c.Stop(t.Context(), mode); err != nil {
			t.Fatal(err)
		}

		if _, err := query(t.Context(), url, "SELECT 'still there'"); err == nil {
			t.Fatalf("the server answers after stop %s", mode)
		}

		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if answer := mustQuery(t, url, "SELECT answer FROM kept"); answer != "yes" || c.URL() != url {
			t.Fatalf("after stop %s: answer %q at %s", mode, answer, c.URL())
		}
	}
}

func TestStopAndStartAreIdempotent(t *testing.T) {
	c := start(t, Options{})
	steps := []func() error{
		func() error { return c.Start(t.Context()) },
		func() error { return c.Stop(t.Context(), Fast) },
		func() error { return c.Stop(t.Context(), Fast) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestStopRefusesUnknownMode(t *testing.T) {
	c := start(t, Options{})
	if err := c.Stop(t.Context(), "slowly"); err == nil {
		t.Error("no error")
	}
	mustQuery(t, c.URL(), "SELECT 'still there'")
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		options Options
		want    map[string]string
	}{
		"throw-away": {Options{}, map[string]string{
			"fsync": "off", "full_page_writes": "off", "autovacuum": "on", "max_connections": "200",
			"server_encoding": "UTF8", "listen_addresses": "127.0.0.1"}},
		"durable": {Options{Durable: true}, map[string]string{
			"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := start(t, test.options)
			for setting, want := range test.want {
				if got := mustQuery(t, c.SocketURL(), "SHOW "+setting); got != want {
					t.Errorf("%s = %s, want %s", setting, got, want)
				}
			}
		})
	}
}

func TestPassword(t *testing.T) {
	c := start(t, Options{Password: "sec:ret@/"})
	for _, url := range []string{c.URL(), c.SocketURL()} {
		mustQuery(t, url, "SELECT 'let in'")
	}

	wrong, err := pgx.ParseConfig(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	wrong.Password = "wrong"

	_, err = pgx.ConnectConfig(t.Context(), wrong)
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("with a wrong password: %v", err)
	}

	if _, err := os.Stat(c.passwordFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the password file is still there: %v", err)
	}
}

func TestDirIsKeptAndTakenOver(t *testing.T) {
	dir := reachableDir(t)
	first := start(t, Options{Dir: dir})
	execute(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := start(t, Options{Dir: dir})
	if answer := mustQuery(t, second.URL(), "SELECT answer FROM kept"); answer != "yes" {
		t.Errorf("answer %q", answer)
	}
}

// TestTemplate starts clusters at once. The first one makes the template.
func TestTemplate(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EnvTemplates, dir)
	t.Run("at once", func(t *testing.T) {
		for _, name := range []string{"one", "other"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				execute(t, start(t, Options{}).URL(), "CREATE TABLE own (n BIGINT)")
			})
		}
	})

	if found, err := filepath.Glob(filepath.Join(dir, "*", "PG_VERSION")); err != nil || len(found) != 1 {
		t.Errorf("the templates are %q: %v", found, err)
	}
}

func TestCloseRemovesTemporaryDirs(t *testing.T) {
	c := start(t, Options{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	requireGone(t, c.dir, c.socketDir)
}

func TestNewReportsServerThatDoesNotStart(t *testing.T) {
	dir := reachableDir(t)
	first := start(t, Options{Dir: dir})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	configuration := filepath.Join(dir, "data", "postgresql.conf")
	if err := os.WriteFile(configuration, []byte("no_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	c, err := New(t.Context(), Options{Dir: dir})
	if err == nil {
		t.Fatal("it started", c.Close())
	}
	if !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error doesn't quote the log: %v", err)
	}
}

func TestNewObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestServerDiesWithItsOwner(t *testing.T) {
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), envOrphan+"=1")
	output, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}

	var lines []string
	for scanner := bufio.NewScanner(output); len(lines) < 3 && scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}

	if len(lines) == 3 {
		mustQuery(t, lines[0], "SELECT 'it runs'")
	}

	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()

	if len(lines) != 3 {
		t.Fatalf("the owner said only %q", lines)
	}
	requireGone(t, lines[1], lines[2])
	if _, err := query(t.Context(), lines[0], "SELECT 1"); err == nil {
		t.Error("the server is still there")
	}
}

// requireGone waits until directories are removed.
func requireGone(t *testing.T, dirs ...string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, dir := range dirs {
		for !gone(dir) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still there", dir)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// reachableDir returns a directory that the server's account can reach too, unlike those of t.TempDir.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guppy-cluster-test-")
	if err != nil {
		t.Fatal(err)
	}

	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "cluster")
}
