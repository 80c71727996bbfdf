//go:build linux

package storm_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// The variables that control the storms.
const (
	// envSeeds is the number of storms, envFirst the seed of the first one: 0 unless it is given.
	envSeeds = "GUPPY_TEST_STORM_SEEDS"
	envFirst = "GUPPY_TEST_STORM_FIRST"
	// envSeed is the only seed to try.
	envSeed = "GUPPY_TEST_STORM_SEED"
	// envLanes lists the names of disturbances, separated by commas. The others are left out.
	envLanes = "GUPPY_TEST_STORM_LANES"
	// envProgram is the program to try, if it is built already.
	envProgram = "GUPPY_TEST_STORM_PROGRAM"
	// envKeep is a directory for what failed storms leave.
	envKeep = "GUPPY_TEST_STORM_KEEP"
)

const (
	space     = "shared"
	shardSize = "2MiB"
)

// storm is a space and everything that happens to it.
type storm struct {
	plan    plan
	program string
	dir     string
	// url leads to the database directly, stormy through the proxy. Both are empty for SQLite.
	url, stormy string
	proxy       *chaos.Proxy
	admin       *sql.DB
	trees       []*tree
	began       time.Time

	// busy is closed once enough has happened. That takes longer on a machine that does other things.
	busy chan struct{}

	mu      sync.Mutex
	ended   map[string]int // commands, by their names and exit codes
	count   int
	current []*process // one for each slot
	claims  []claim
	removed map[int64]bool // uploads to remove, whatever became of the removal
	gone    []string       // reported as removed
	log     strings.Builder
}

// quick is how many storms TestStorms has, one on each engine.
const quick = 2

func TestStorms(t *testing.T) { rageAll(t, seeds(t)) }

// rageAll runs the storms of some seeds.
func rageAll(t *testing.T, seeds []uint64) {
	t.Helper()
	program := os.Getenv(envProgram)
	if program == "" {
		program = filepath.Join(t.TempDir(), "guppy")
		if output, err := exec.Command("go", "build", "-o", program, "../../../cmd/guppy").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, output)
		}
	}

	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { weather(t, program, draw(seed, lanes())) })
	}
}

func seeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	number := func(name string) (uint64, bool) {
		text := os.Getenv(name)
		n, err := strconv.ParseUint(text, 10, 32)
		if text != "" && err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n, text != ""
	}

	if seed, given := number(envSeed); given {
		return []uint64{seed}
	}

	count, given := number(envSeeds)
	if !given {
		count = quick
	}

	first, _ := number(envFirst)
	for seed := range count {
		seeds = append(seeds, first+seed)
	}
	return seeds
}

func lanes() (names []string) {
	if text := os.Getenv(envLanes); text != "" {
		return strings.Split(text, ",")
	}
	for _, d := range disturbances {
		names = append(names, d.name)
	}
	return names
}

func weather(t *testing.T, program string, p plan) {
	s := &storm{
		plan: p, program: program, dir: t.TempDir(), busy: make(chan struct{}),
		current: make([]*process, len(p.slots)), ended: map[string]int{}, removed: map[int64]bool{},
	}

	t.Cleanup(func() { s.report(t) })
	s.prepareScene(t)
	s.rage(t)
	s.calm(t)
}

func (s *storm) path(name string) string { return filepath.Join(s.dir, name) }

// prepareScene mounts file systems, makes a database and, unless the start is cold, prepares the beginning of each
// source.
func (s *storm) prepareScene(t *testing.T) {
	t.Helper()
	for _, name := range []string{"home", "tmp", "spare", "out"} {
		must(t, os.Mkdir(s.path(name), 0o755))
	}

	mountDisk(t, s.path("data-disk"), 96<<20)
	mountDisk(t, s.path("store-disk"), 512<<20)

	s.connect(t)
	s.run(t, "space", "add", space, "--shard-size", shardSize)
	if s.plan.replicated {
		s.run(t, "store", "add", "replica", s.path("replica"))
		s.run(t, "space", "set", space, "--replica", "replica")
	}

	for i := range sourceCount {
		tree := newTree(s.dir, fmt.Sprintf("source-%d", i), s.plan.seed*sourceCount+uint64(i))
		must(t, os.MkdirAll(tree.dir, 0o755))
		must(t, os.MkdirAll(tree.mount, 0o755))
		bind(t, tree.dir, tree.mount)
		s.trees = append(s.trees, tree)

		s.run(t, "source", "add", space, tree.mount)
		if !s.plan.cold {
			tree.put(t, "first", []byte(tree.mount))
			s.run(t, "prepare", tree.mount)
		}
		tree.fill(t)
	}
}

func (s *storm) connect(t *testing.T) {
	t.Helper()
	if s.plan.engine == "sqlite" {
		return
	}

	s.url = pgtest.URL(t)
	s.proxy = chaos.StartProxy(t, s.url)
	s.stormy = s.proxy.URL()

	var err error
	s.admin, err = sql.Open("pgx", s.url)
	must(t, err)
	t.Cleanup(func() { _ = s.admin.Close() })

	// The proxy forgets some of its connections, whose transactions would hold their locks.
	database := s.url[strings.LastIndexByte(s.url, '/')+1:]
	database, _, _ = strings.Cut(database, "?")
	_, err = s.admin.ExecContext(t.Context(), "ALTER DATABASE "+database+" SET idle_in_transaction_session_timeout = '3s'")
	must(t, err)
}

// rage runs commands and disturbs them until the time is over and enough of them have ended. Then it waits for the
// others.
func (s *storm) rage(t *testing.T) {
	t.Helper()
	s.began = time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(s.plan.length, func() {
		<-s.busy
		cancel()
	})
	defer cancel()

	var running, disturbing sync.WaitGroup
	for slot := range s.plan.slots {
		running.Go(func() { s.play(ctx, t, slot) })
	}

	for _, lane := range s.plan.lanes {
		disturbing.Go(func() { s.disturb(ctx, t, lane) })
	}

	disturbing.Wait()
	running.Wait()
	t.Logf("seed %d, %s: %v with %v", s.plan.seed, s.plan.engine, time.Since(s.began), s.ended)
}

// enough is how many commands must end in a storm.
const enough = 15

// tally counts a command that has ended.
func (s *storm) tally(what string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[fmt.Sprintf("%s %d", what, code)]++
	if s.count++; s.count == enough {
		close(s.busy)
	}
}

func (s *storm) disturb(ctx context.Context, t *testing.T, l lane) {
	for _, e := range l.events {
		if !rest(ctx, e.after) {
			return
		}
		end := s.begin(t, e)
		rest(ctx, e.length)
		end()
	}
}

// rest waits, and reports whether the storm goes on.
func rest(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}

// note records what happens, for the reader of a failure.
func (s *storm) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.log, "%8.3f %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// report shows the plan of a failed storm and what happened.
func (s *storm) report(t *testing.T) {
	if !t.Failed() {
		return
	}
	t.Logf("run this storm again with: make test-storm SEED=%d\n%s", s.plan.seed, s.plan)

	if keep := os.Getenv(envKeep); keep != "" {
		keep = filepath.Join(keep, fmt.Sprintf("seed-%d", s.plan.seed))
		_ = os.RemoveAll(keep)
		output, err := exec.Command("cp", "-a", s.dir, keep).CombinedOutput()
		t.Logf("kept in %s: %v %s", keep, err, output)
		_ = os.WriteFile(keep+"/log", []byte(s.log.String()), 0o600)
		return
	}

	t.Logf("what happened:\n%s", &s.log)
}
