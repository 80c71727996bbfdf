//go:build long

package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// oneWay is the delay in milliseconds of everything sent between guppy and a distant server.
const oneWay = 5

// TestRoundTripsAreFew counts how often guppy waits for its server. From the time that a distant server adds, it
// estimates and logs how many of the round trips are on the critical path, where nothing else goes on.
func TestRoundTripsAreFew(t *testing.T) {
	program := build(t)
	for _, tt := range []struct {
		name        string
		files, size int
		most        int64
	}{
		{"few large files, 13 shards", 12, 16 << 20, 200},
		{"many small files, 1 shard and 3 pages", 6000, 100, 110},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := filepath.Join(t.TempDir(), "source")
			if err := writeRandom(source, tt.files, tt.size); err != nil {
				t.Fatal(err)
			}

			near, far := prepareThrough(t, program, source, 0), prepareThrough(t, program, source, oneWay)
			critical := int64((far.took - near.took) / (2 * oneWay * time.Millisecond))
			t.Logf("%d round trips in %v; with %d ms each way %d in %v, some %d of them on the critical path",
				near.turns, near.took, oneWay, far.turns, far.took, critical)

			for _, run := range []trip{near, far} {
				if most := tt.most + run.byTime(); run.turns > most {
					t.Errorf("%d round trips, more than %d", run.turns, most)
				}
			}
			if near.turns < 50 {
				t.Error("not all round trips were seen")
			}
		})
	}
}

// trip is the cost of a run.
type trip struct {
	took  time.Duration
	turns int64
}

// byTime returns how many round trips the time that a run takes allows.
func (t trip) byTime() int64 { return int64(10 * t.took.Seconds()) }

// prepareThrough prepares a source in a new database whose server is some milliseconds away.
func prepareThrough(t *testing.T, program, source string, late int) trip {
	t.Helper()

	proxy := chaos.StartProxy(t, pgtest.URL(t))
	proxy.Begin(chaos.Delay(late, 0))
	relay := chaos.StartRelay(t, proxy.URL())
	i := install(t, program, engine{fresh: func(testing.TB) string { return relay.URL() }})
	i.run(t, "space", "add", "default") // and the schema

	prepare := i.command("prepare", source, "--shard-size", "16MiB", "--workers", "2")
	prepare.Env = append(prepare.Env, "GUPPY_WORKER_LEASE=1m") // heartbeats depend on time

	before, began := relay.Turns(), time.Now()
	if output, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return trip{time.Since(began), relay.Turns() - before}
}
