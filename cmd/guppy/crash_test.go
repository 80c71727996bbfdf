//go:build long

package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const crashSeeds = 5 // for each engine

// TestKilledRunsGoOn kills runs at random points, then lets one finish. The result must equal that of an
// undisturbed run.
func TestKilledRunsGoOn(t *testing.T) {
	t.Parallel()
	program, corpus := build(t), t.TempDir()
	if err := writeCorpus(corpus); err != nil {
		t.Fatal(err)
	}

	prepare := []string{"prepare", corpus, "--shard-size", "2MiB"}

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			undisturbed := install(t, program, e)
			started := time.Now()
			undisturbed.run(t, prepare...)
			took := time.Since(started)

			want, kills := undisturbed.outcome(t), 0
			if len(want.shards) < 15 {
				t.Fatalf("%d shards are too few to be interrupted in", len(want.shards))
			}

			for seed := range uint64(crashSeeds) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					crashed, replica := install(t, program, e), filepath.Join(t.TempDir(), "replica")
					crashed.run(t, "space", "add", "default", "--shard-size", "2MiB")
					crashed.run(t, "store", "add", "replica", replica)
					crashed.run(t, "space", "set", "default", "--replica", "replica")

					kills += crashed.killOften(t, rand.New(rand.NewPCG(seed, 1)), took, prepare)
					if !crashed.complete(t) {
						crashed.run(t, prepare...)
					}
					requireSame(t, crashed.outcome(t), want)

					// The upload may have been complete before everything was sent.
					crashed.run(t, "worker", "--exit-when-idle")
					requireReplica(t, crashed.store(), replica)
				})
			}

			if kills < crashSeeds {
				t.Errorf("only %d runs were killed", kills)
			}
		})
	}
}

// requireReplica fails unless a directory has the same files as a store but for its identity.
func requireReplica(t *testing.T, store, replica string) {
	t.Helper()
	if out, err := exec.Command("diff", "-r", "-x", ".guppy-store", store, replica).CombinedOutput(); err != nil {
		t.Errorf("the replica differs: %v\n%s", err, out)
	}
}

// killOften kills some runs in a row and returns their number.
func (i *installation) killOften(t *testing.T, random *rand.Rand, took time.Duration, args []string) (killed int) {
	for range 1 + random.IntN(4) {
		if killed > 0 && i.complete(t) {
			return killed
		}

		p := i.start(t, args...)
		if random.IntN(3) == 0 {
			i.running(p, 1+random.IntN(16))
		} else {
			p.runFor(time.Duration(random.Int64N(int64(took))))
		}

		// A run that has ended by itself does not count.
		_ = p.Process.Kill()
		if code := p.exit(t); code == -1 {
			killed++
		} else if code != 0 {
			t.Fatalf("exit code %d\n%s", code, &p.stderr)
		} else {
			return killed
		}
	}
	return killed
}

func (p *process) runFor(duration time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(duration):
	}
}
