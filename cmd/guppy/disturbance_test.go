//go:build long

package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// disturbance is a preparation that takes long enough to be disturbed, and its undisturbed outcome.
type disturbance struct {
	program string
	prepare []string
	want    outcome
}

func TestDisturbedRuns(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "with space")
	if err := errors.Join(writeCorpus(source), writeSparse(filepath.Join(source, "zeros"), 1<<30)); err != nil {
		t.Fatal(err)
	}

	d := disturbance{program: build(t), prepare: []string{"prepare", source, "--shard-size", "16MiB", "--workers", "1"}}
	undisturbed := install(t, d.program, engines()[0])
	undisturbed.run(t, d.prepare...)
	d.want = undisturbed.outcome(t)

	// A second run has to join while the first one is still at work, so this source takes longer.
	long := filepath.Join(t.TempDir(), "long")
	if err := errors.Join(writeCorpus(long), writeSparse(filepath.Join(long, "zeros"), 6<<30)); err != nil {
		t.Fatal(err)
	}

	lasting := disturbance{program: d.program, prepare: []string{"prepare", long, "--shard-size", "16MiB"}}
	undisturbed = install(t, d.program, engines()[0])
	undisturbed.run(t, lasting.prepare...)
	lasting.want = undisturbed.outcome(t)

	for _, e := range engines() {
		t.Run("SIGINT, "+e.name, func(t *testing.T) { d.interrupted(t, e, os.Interrupt) })
		t.Run("SIGTERM, "+e.name, func(t *testing.T) { d.interrupted(t, e, syscall.SIGTERM) })
		t.Run("SIGHUP under nohup, "+e.name, func(t *testing.T) { d.hungUp(t, e) })
		t.Run("seen from another container, "+e.name, func(t *testing.T) { lasting.unseen(t, e) })
		t.Run("second run, "+e.name, func(t *testing.T) { lasting.secondRun(t, e) })
		t.Run("killed beside a worker, "+e.name, func(t *testing.T) { d.killedBesideWorker(t, e) })
		t.Run("store gone, "+e.name, func(t *testing.T) { d.storeGone(t, e) })
	}
}

// begin starts a run and returns in the middle of it.
func (d *disturbance) begin(t *testing.T, i *installation, under ...string) *process {
	t.Helper()
	p := i.startUnder(t, under, d.prepare...)
	if !i.running(p, 2) { // the zeros behind them are stored once
		t.Fatalf("it was over too early: %s", &p.stderr)
	}
	return p
}

// hungUp closes the terminal of a run that was started to outlive it.
func (d *disturbance) hungUp(t *testing.T, e engine) {
	i := install(t, d.program, e)
	p := d.begin(t, i, "nohup")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitComplete {
		t.Fatalf("exit code %d\n%s", code, &p.stderr)
	}
	requireSame(t, i.outcome(t), d.want)
}

// unseen lets a process of another PID namespace on the same host, which can't see the run, remove everything
// that nobody works on. It must remove nothing of the run.
func (d *disturbance) unseen(t *testing.T, e engine) {
	i := install(t, d.program, e)
	i.env = []string{"GUPPY_WORKER_LEASE=10m"}

	p := d.begin(t, i)
	container := []string{"unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"}

	for _, args := range [][]string{{"upload", "rm", "1", "--yes"}, {"gc", "--yes"}} {
		removal := i.startUnder(t, container, args...)
		if code := removal.exit(t); (args[0] == "upload") != (code == exitDatabase) {
			t.Errorf("guppy %s: exit code %d\n%s", args, code, &removal.stderr)
		}
	}

	code := p.exit(t)
	if code != exitComplete || strings.Contains(p.stderr.String(), "level=WARN") {
		t.Fatalf("exit code %d\n%s", code, &p.stderr)
	}
	requireSame(t, i.outcome(t), d.want)
}

var resumeLine = regexp.MustCompile(`guppy: to resume, run again: (guppy prepare .*)\n$`)

// interrupted runs the command that the interrupted run printed.
func (d *disturbance) interrupted(t *testing.T, e engine, signal os.Signal) {
	i := install(t, d.program, e)
	p := d.begin(t, i)
	p.interrupt(t, signal)

	resume := resumeLine.FindStringSubmatch(p.stderr.String())
	if resume == nil || !strings.Contains(p.stderr.String(), "guppy: interrupted") {
		t.Fatalf("stderr does not say how to go on: %s", &p.stderr)
	}

	again := i.command()
	again.Path, again.Args = "/bin/sh", []string{"sh", "-c", resume[1]}
	if output, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", resume[1], err, output)
	}

	requireSame(t, i.outcome(t), d.want)
}

// secondRun joins the first run. Commands that only read work meanwhile.
func (d *disturbance) secondRun(t *testing.T, e engine) {
	i := install(t, d.program, e)
	i.env = []string{"GUPPY_WORKER_LEASE=1m"} // on a busy machine, shorter leases of the first run might end
	first := d.begin(t, i)
	second := i.start(t, d.prepare...)
	if uploads := i.uploads(t); len(uploads) != 1 || uploads[0].State == "complete" {
		t.Fatalf("the first run is over: %+v", uploads)
	}

	for name, p := range map[string]*process{"first": first, "second": second} {
		if code := p.exit(t); code != exitComplete {
			t.Errorf("the %s run: exit code %d\n%s", name, code, &p.stderr)
		}
	}

	if !strings.Contains(second.stderr.String(), "joined=true") {
		t.Errorf("the second run did not join: %s", &second.stderr)
	}

	requireSame(t, i.outcome(t), d.want)
}

// killedBesideWorker kills the run that has begun. A worker on the same upload finishes and cleans up.
func (d *disturbance) killedBesideWorker(t *testing.T, e engine) {
	i := install(t, d.program, e)
	first := d.begin(t, i)
	worker := i.start(t, "worker", "--exit-when-idle")

	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}

	if code := worker.exit(t); code != exitComplete {
		t.Errorf("the worker: exit code %d\n%s", code, &worker.stderr)
	}
	if code := first.exit(t); code != -1 {
		t.Errorf("the run was over before: exit code %d", code)
	}

	requireSame(t, i.outcome(t), d.want)
}

// storeGone removes the store during a run. The next run has the store again.
func (d *disturbance) storeGone(t *testing.T, e engine) {
	i := install(t, d.program, e)
	p := d.begin(t, i)

	if err := os.Rename(i.store(), i.store()+".away"); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitFailure {
		t.Errorf("exit code %d", code)
	}

	message := `(?m)^guppy: .*store.*` + regexp.QuoteMeta(i.store()) + `.*: no such file`
	if !regexp.MustCompile(message).Match(p.stderr.Bytes()) {
		t.Errorf("stderr lacks %q: %s", message, &p.stderr)
	}

	if err := os.Rename(i.store()+".away", i.store()); err != nil {
		t.Fatal(err)
	}

	i.run(t, d.prepare...)
	requireSame(t, i.outcome(t), d.want)
}
