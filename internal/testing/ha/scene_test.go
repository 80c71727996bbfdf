//go:build ha

package ha_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/ha"
	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// The variables that control the tests.
const (
	// envSeed is the seed of what happens when. By default it is drawn.
	envSeed = "GUPPY_TEST_HA_SEED"
	// envRounds is the number of faults.
	envRounds     = "GUPPY_TEST_HA_ROUNDS"
	defaultRounds = 20
)

const space = "shared"

// scene is a space with many sources, in a cluster or, for comparison, on SQLite.
type scene struct {
	dir, program string
	// direct is the URL of the database, pooled the one through PgBouncer.
	direct, pooled string
	seed           uint64
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// number returns the number in an environment variable.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

// drawSeed prints the seed with the command that uses it again.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := number(t, envSeed, rand.Uint64N(1_000_000))
	t.Logf("run this again with: make test-ha SEED=%d RUN=%s", seed, t.Name())
	return seed
}

func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "guppy")
	if output, err := exec.Command("go", "build", "-o", program, "../../../cmd/guppy").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return program
}

// newScene makes a space in the database of a URL.
func newScene(t *testing.T, program, database string, seed uint64) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir(), program: program, direct: database, seed: seed}
	for _, name := range []string{"home", "tmp", "src"} {
		must(t, os.Mkdir(s.path(name), 0o755))
	}
	if s.direct == "" {
		s.direct = s.path("guppy.db")
	}
	s.run(t, "space", "add", space, "--shard-size", "2MiB")
	return s
}

// clustered makes a space in a cluster, and starts a PgBouncer in front of its HAProxy.
func clustered(t *testing.T, c *ha.Cluster, program string, seed uint64) *scene {
	t.Helper()
	s := newScene(t, program, c.URL(), seed)
	proxy, err := url.Parse(c.URL())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	bouncer, err := cluster.NewBouncer(ctx, proxy, cluster.Pooling{Mode: "transaction", Size: 20})
	must(t, err)
	t.Cleanup(func() { must(t, bouncer.Close()) })
	s.pooled = bouncer.URL("postgres")
	return s
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

// source makes the source of a number, unless it is there. Some of its files are those of other sources.
func (s *scene) source(t *testing.T, n int) (path string) {
	t.Helper()
	path = s.path(fmt.Sprintf("src/source-%d", n))
	if _, err := os.Stat(path); err == nil {
		return path
	}

	random := rand.New(rand.NewPCG(s.seed, uint64(n)))
	for i := range 60 {
		most, pick := 30_000, random.Uint64()
		switch {
		case i < 2:
			most = 3 << 20
		case i%3 == 0:
			pick = uint64(n/2*100 + i) // shared with the source before or after
		}
		file := filepath.Join(path, fmt.Sprintf("%d/%d/%02d", i%4, i%3, i))
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, s.content(pick, most), 0o644))
	}
	return path
}

func (s *scene) content(pick uint64, most int) []byte {
	random := rand.New(rand.NewPCG(s.seed, pick))
	data := make([]byte, random.IntN(most+1))
	_, _ = rand.NewChaCha8([32]byte{byte(random.Uint64()), byte(random.Uint64()), byte(pick)}).Read(data) // it never fails
	return data
}

// claim is what exit code 0 of prepare promises.
type claim struct {
	Upload int64  `json:"upload"`
	Root   string `json:"root_cid"`
	State  string `json:"state"`
}

// command returns a command that ends with this process.
func (s *scene) command(ctx context.Context, database string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, s.program, args...)
	command.Env = []string{
		"HOME=" + s.path("home"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.path("tmp"),
		"GUPPY_DATA_DIR=" + s.path("data"), "GUPPY_DATABASE_URL=" + database,
		"GUPPY_PREPARE_STORE=" + s.path("store"), "GUPPY_PREPARE_SPACE=" + space, "GUPPY_PREPARE_WORKERS=2",
		"GUPPY_WORKER_LEASE=3s", "GUPPY_REPO_RETRY_FOR=2m", "GUPPY_REPO_CONNECT_TIMEOUT=5s",
	}
	if database == s.pooled {
		command.Env = append(command.Env, "GUPPY_REPO_POOLER=transaction")
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	return command
}

// bound is how long a command may take while servers fail.
const bound = 5 * time.Minute

// try runs a command to its end.
func (s *scene) try(t *testing.T, database string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var out, problems strings.Builder
	command := s.command(ctx, database, args...)
	command.Stdout, command.Stderr = &out, &problems

	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Errorf("guppy %s: %v\n%s", strings.Join(args, " "), err, &problems)
	}
	return command.ProcessState.ExitCode(), out.String(), problems.String()
}

// run runs a command that must succeed.
func (s *scene) run(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := s.try(t, s.direct, args...)
	if code != 0 {
		t.Errorf("guppy %s: exit code %d\n%s\n%s", strings.Join(args, " "), code, tail(stdout), tail(stderr))
	}
	return stdout
}

func tail(text string) string { return text[max(0, len(text)-3000):] }

// parse returns the claim of a prepare that has succeeded.
func parse(t *testing.T, stdout string) (c claim) {
	t.Helper()
	must(t, json.Unmarshal([]byte(stdout), &c))
	if c.State != "complete" || c.Root == "" {
		t.Errorf("exit code 0, but %+v", c)
	}
	return c
}

// files returns the names of all shards and indexes.
func (s *scene) files(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.car", "*.idx"} {
		paths, err := filepath.Glob(filepath.Join(s.path("store"), pattern))
		must(t, err)
		for _, path := range paths {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names
}
