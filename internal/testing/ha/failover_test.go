//go:build ha

package ha_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/ha"
)

// drama is a scene whose leader fails while sources are prepared.
type drama struct {
	*scene
	t       *testing.T
	cluster *ha.Cluster
	ledger  *ledger
	random  *rand.Rand
	faults  []ha.Fault
	// lossy is true if failovers may lose commits, after which commands may end with an error.
	lossy bool
	// removing is true if uploads are removed now and then.
	removing bool

	roots []string // by the numbers of the sources
	mu    sync.Mutex
	wrong int // commands that ended with an error
}

func newDrama(t *testing.T, replication ha.Replication) *drama {
	seed := drawSeed(t)
	program := build(t)
	c := ha.Start(t, replication)
	return &drama{
		scene: clustered(t, c, program, seed), t: t, cluster: c, ledger: keepLedger(t, c.URL()),
		random: rand.New(rand.NewPCG(seed, 0)), faults: slices.Clone(ha.Faults),
		lossy: replication == ha.Asynchronous,
	}
}

// play has the leader fail at random moments while sources are prepared, one after the other, by a command and two
// workers, one of them behind PgBouncer.
func (d *drama) play() {
	var working sync.WaitGroup
	defer working.Wait()
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	for _, database := range []string{d.direct, d.pooled} {
		working.Go(func() { d.work(ctx, database) })
	}
	working.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			d.prepare(ctx, n)
			if d.removing && n%3 == 2 {
				d.remove(n - 2)
			}
			pause(ctx, 300*time.Millisecond)
		}
	})

	rounds, lost := number(d.t, envRounds, defaultRounds), 0
	for round := range rounds {
		lost += d.strike(int(round))
	}

	cancel()
	working.Wait()
	d.t.Logf("%d sources were prepared; %d commits of the ledger were lost; %d commands ended with an error",
		len(d.roots), lost, d.wrong)
	if d.lossy != (lost > 0) {
		d.t.Errorf("%d commits of the ledger were lost", lost)
	}
}

// strike has something happen to the leader, and returns how many commits of the ledger are lost.
func (d *drama) strike(round int) (lost int) {
	if round%len(ha.Faults) == 0 {
		d.random.Shuffle(len(d.faults), func(i, k int) { d.faults[i], d.faults[k] = d.faults[k], d.faults[i] })
	}
	fault := d.faults[round%len(ha.Faults)]
	stall, doomed := time.Duration(0), (func())(nil)
	if d.lossy {
		stall = d.upTo(2 * time.Second)
		doomed = func() { time.Sleep(stall) }
	}
	time.Sleep(d.upTo(3 * time.Second))

	began := time.Now()
	d.cluster.Strike(fault, doomed)
	lost = d.ledger.lost(d.t)
	d.t.Logf("round %d: %s, stalled for %v: whole after %v on timeline %d; %d commits were lost", round+1, fault,
		stall.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), d.cluster.Timeline(), lost)
	return lost
}

func (d *drama) upTo(most time.Duration) time.Duration {
	return time.Duration(d.random.Int64N(int64(most)))
}

// work runs a worker all the time. In a lossy cluster it may end with an error.
func (d *drama) work(ctx context.Context, database string) {
	for ctx.Err() == nil {
		var log strings.Builder
		worker := d.command(ctx, database, "worker")
		worker.Stderr = &log
		err := worker.Run()
		if ctx.Err() == nil && !isAway(log.String()) {
			d.blame("worker", fmt.Sprint(err), log.String())
		}
	}
}

// rewound is what a process says that has noticed that its commits are lost.
const rewound = "the database has lost commits of this process"

// blame judges an error: commands go on after each failover, unless it has lost commits.
func (d *drama) blame(what, code, log string) {
	knew := d.lossy && strings.Contains(log, rewound)
	d.mu.Lock()
	d.wrong++
	d.mu.Unlock()
	if !knew {
		d.t.Errorf("%s ended: %s\n%s", what, code, tail(log))
	}
}

// isAway reports whether a command found no database when it began, for which it does not wait.
func isAway(log string) bool {
	return strings.Contains(log, "cannot be used: open PostgreSQL database") ||
		strings.Contains(log, "cannot be used: read the schema version of PostgreSQL database")
}

// prepare prepares a source until that succeeds.
func (d *drama) prepare(ctx context.Context, n int) {
	path := d.source(d.t, n)
	for ctx.Err() == nil || !d.t.Failed() {
		code, stdout, stderr := d.try(d.t, d.direct, "prepare", path, "--json")
		switch {
		case code == 0:
			d.roots = append(d.roots, parse(d.t, stdout).Root)
			return
		case code == 4 && isAway(stderr):
			d.try(d.t, d.direct, "migrate", "status", "--wait", "--timeout", "2m")
		default:
			d.blame(fmt.Sprintf("prepare of source %d", n), fmt.Sprint(code), stderr)
			pause(d.t.Context(), 200*time.Millisecond)
		}
	}
}

// remove removes an upload and what only it needs, as far as that goes.
func (d *drama) remove(n int) {
	_, stdout, _ := d.try(d.t, d.direct, "upload", "ls", "--json")
	var list struct {
		Uploads []struct {
			Upload int64
			Root   string `json:"root_cid"`
		}
	}
	if json.Unmarshal([]byte(stdout), &list) != nil {
		return // the database is away
	}
	for _, u := range list.Uploads {
		if u.Root == d.roots[n] {
			d.try(d.t, d.direct, "upload", "rm", fmt.Sprint(u.Upload), "--yes")
		}
	}
	if code, _, stderr := d.try(d.t, d.direct, "gc", "--yes"); code != 0 && !isAway(stderr) {
		d.blame("gc", fmt.Sprint(code), stderr)
	}
}

// undisturbed returns the same scene on SQLite, with nothing happening.
func (d *drama) undisturbed() *scene {
	calm := newScene(d.t, d.program, "", d.seed)
	for n, root := range d.roots {
		claim := parse(d.t, calm.run(d.t, "prepare", calm.source(d.t, n), "--json"))
		if claim.Root != root {
			d.t.Errorf("source %d has the root %s, and %s undisturbed", n, root, claim.Root)
		}
	}
	return calm
}

// requireSame compares the shards and indexes with those that nothing disturbed.
func (d *drama) requireSame(calm *scene) {
	got, want := d.files(d.t), calm.files(d.t)
	if !slices.Equal(got, want) {
		d.t.Errorf("%d shards and indexes, and %d undisturbed", len(got), len(want))
	}
}

// TestSynchronous checks that no failover of a synchronous cluster is noticed, but by the time it takes.
func TestSynchronous(t *testing.T) {
	d := newDrama(t, ha.Synchronous)
	d.play()
	d.run(t, "gc", "--strays", "--yes")
	d.run(t, "check", "--read-data")
	d.requireSame(d.undisturbed())
}

// TestAsynchronous checks that a run goes on correctly, or ends and says why, whatever commits failovers lose: what is
// complete is what an undisturbed run makes. What was said to be complete may be lost, too. Then it is prepared again.
func TestAsynchronous(t *testing.T) {
	d := newDrama(t, ha.Asynchronous)
	d.play()
	d.run(t, "check", "--read-data")
	d.requireAgain()
}

// TestLostRemovals is like TestAsynchronous and also removes uploads. A failover that loses a removal has rows
// name files that are gone. A repair finds these.
func TestLostRemovals(t *testing.T) {
	d := newDrama(t, ha.Asynchronous)
	d.removing = true
	d.play()
	code, stdout, stderr := d.try(t, d.direct, "check", "--read-data", "--repair", "--give-up", "--yes")
	t.Logf("the repair ended with %d: %s", code, tail(stdout))
	if code != 0 && code != 3 {
		t.Errorf("the repair failed: %s", tail(stderr))
	}
	d.requireAgain()
}

// TestALostRemoval loses a removal whose files are gone, after the command that removed has ended: nobody notices, but
// for check, which names what is missing. A repair gives that up, and the next run packs it from the source.
func TestALostRemoval(t *testing.T) {
	d := newDrama(t, ha.Asynchronous)
	for n := range 3 { // the last one shares nothing with the others
		d.prepare(t.Context(), n)
	}
	whole := d.files(t)

	d.cluster.Strike(ha.Killed, func() {
		d.remove(2)
		if kept := d.files(t); len(kept) == 0 || len(kept) == len(whole) {
			t.Errorf("%d of %d shards and indexes are left", len(kept), len(whole))
		}
	})
	if code, stdout, stderr := d.try(t, d.direct, "check"); code != 3 || !strings.Contains(stdout, "shard-missing") {
		t.Errorf("check after a lost removal: exit code %d\n%s\n%s", code, tail(stdout), tail(stderr))
	}
	d.run(t, "check", "--repair", "--give-up", "--yes")

	d.requireAgain()
	if got := d.files(t); !slices.Equal(got, whole) {
		t.Errorf("%d shards and indexes, and %d before the removal", len(got), len(whole))
	}
}

// requireAgain prepares all sources again and checks that everything is as it should be.
func (d *drama) requireAgain() {
	for n, root := range d.roots {
		again := parse(d.t, d.run(d.t, "prepare", d.source(d.t, n), "--json"))
		if again.Root != root {
			d.t.Errorf("source %d has the root %s, and %s when it is prepared again", n, root, again.Root)
		}
	}

	d.run(d.t, "gc", "--strays", "--yes")
	d.run(d.t, "check", "--read-data")
	d.undisturbed()
	for _, root := range d.roots {
		d.run(d.t, "verify", "--deep", root)
	}
}
