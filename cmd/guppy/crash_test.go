//go:build long

package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const crashSeeds = 10 // for each engine

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
					crashed := install(t, program, e)
					kills += crashed.killOften(t, rand.New(rand.NewPCG(seed, 1)), took, prepare)
					if !crashed.complete(t) {
						crashed.run(t, prepare...)
					}

					requireSame(t, crashed.outcome(t), want)
				})
			}

			if kills < crashSeeds {
				t.Errorf("only %d runs were killed", kills)
			}
		})
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
