//go:build long

package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// TestWorkersSurvive lets three processes share an upload on PostgreSQL. Meanwhile one is killed, one is stopped
// for longer than its lease, and the server crashes three times.
func TestWorkersSurvive(t *testing.T) {
	t.Parallel()
	program, source := build(t), filepath.Join(t.TempDir(), "source")
	if err := writeRandom(source, 160, 1_900_000); err != nil {
		t.Fatal(err)
	}

	prepare := []string{"prepare", source, "--shard-size", "2MiB"}
	undisturbed := install(t, program, engines()[0])
	undisturbed.run(t, append(prepare, "--workers", "1")...)
	undisturbed.run(t, prepare...)
	want := undisturbed.outcome(t)

	server := pgtest.Start(t)
	i := install(t, program, engine{fresh: func(testing.TB) string { return server.URL() }})
	killed := i.start(t, prepare...)
	if !i.running(killed, 3) {
		t.Fatalf("it was over too early: %s", &killed.stderr)
	}

	worker := []string{"worker", "--exit-when-idle", "--workers", "1"}
	stopped, steady := i.start(t, worker...), i.start(t, worker...)
	i.untilLeased(t, killed, stopped, steady)

	crash := func() {
		server.Stop(pgtest.Immediate)
		server.Start()
	}

	send(t, killed, syscall.SIGKILL)
	crash()

	i.untilLeased(t, stopped)
	send(t, stopped, syscall.SIGSTOP)
	crash()
	time.Sleep(2500 * time.Millisecond) // the lease of the stopped worker lasts a second
	send(t, stopped, syscall.SIGCONT)
	crash()

	// The killed run has no exit code of its own. The two others end well.
	if code := killed.exit(t); code != -1 {
		t.Errorf("the run that was to be killed: exit code %d", code)
	}
	for _, p := range []*process{stopped, steady} {
		if code := p.exit(t); code != exitComplete {
			t.Errorf("exit code %d\n%s", code, &p.stderr)
		}
	}

	if !i.complete(t) {
		t.Errorf("it is not complete: %+v", i.uploads(t))
	}

	i.run(t, prepare...)
	requireSame(t, i.outcome(t), want) // nothing else is in the store
	if leased := i.leased(t); len(leased) > 0 {
		t.Errorf("leases are left over: %v", leased)
	}
}

// untilLeased waits until each process has a lease.
func (i *installation) untilLeased(t *testing.T, processes ...*process) {
	t.Helper()

	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		leased, all := i.leased(t), true
		for _, p := range processes {
			all = all && leased[p.Process.Pid]
		}
		if all {
			return
		}

		if i.complete(t) {
			t.Fatal("the upload is complete already")
		}
	}

	t.Fatalf("the leases are of %v only", i.leased(t))
}

// leased returns the processes that have leases on PostgreSQL.
func (i *installation) leased(t *testing.T) map[int]bool {
	t.Helper()

	db, err := sql.Open("pgx", i.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	rows, err := db.QueryContext(t.Context(),
		"SELECT worker FROM shards WHERE token <> 0 UNION SELECT worker FROM uploads WHERE token <> 0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()

	pids := map[int]bool{}
	for rows.Next() {
		var worker string
		var pid int
		err := rows.Scan(&worker)
		if err == nil {
			_, err = fmt.Sscan(worker[strings.LastIndexByte(worker, '/')+1:], &pid)
		}

		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}

	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}

	return pids
}

// TestRunsOnSQLiteShareAnUpload kills one of the runs that share an upload.
func TestRunsOnSQLiteShareAnUpload(t *testing.T) {
	t.Parallel()
	program, source := build(t), filepath.Join(t.TempDir(), "source")
	if err := writeRandom(source, 100, 1_900_000); err != nil {
		t.Fatal(err)
	}

	prepare := []string{"prepare", source, "--shard-size", "2MiB", "--workers", "1"}
	undisturbed := install(t, program, engines()[0])
	undisturbed.run(t, prepare...)
	want := undisturbed.outcome(t)

	i := install(t, program, engines()[0])
	runs := []*process{i.start(t, prepare...)}
	if !i.running(runs[0], 2) {
		t.Fatalf("it was over too early: %s", &runs[0].stderr)
	}

	runs = append(runs, i.start(t, prepare...), i.start(t, prepare...))
	if !i.running(runs[0], 20) {
		t.Fatalf("it was over too early: %s", &runs[0].stderr)
	}

	send(t, runs[0], syscall.SIGKILL)
	for n, p := range runs {
		if code := p.exit(t); (code == -1) != (n == 0) || code > 0 {
			t.Errorf("run %d: exit code %d\n%s", n, code, &p.stderr)
		}
	}
	defer func() {
		for n, p := range runs {
			if t.Failed() {
				t.Logf("run %d: %s", n, &p.stderr)
			}
		}
	}()
	requireSame(t, i.outcome(t), want)
}
