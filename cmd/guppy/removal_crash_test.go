//go:build long

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestKilledRemovalsGoOn kills the removal of an upload at random points and lets gc finish it. The result must
// equal that of an undisturbed removal.
func TestKilledRemovalsGoOn(t *testing.T) {
	t.Parallel()
	program, corpus := build(t), t.TempDir()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			undisturbed, crashed := install(t, program, e), install(t, program, e)
			undisturbed.prepareTwice(t, corpus, crashed)

			began := time.Now()
			undisturbed.run(t, "upload", "rm", "1", "--yes")
			took, kills := time.Since(began), 0

			random := rand.New(rand.NewPCG(1, 1))

			for _, args := range [][]string{{"upload", "rm", "1", "--yes"}, {"gc", "--yes"}} {
				for range 6 {
					p := crashed.start(t, args...)
					p.runFor(time.Duration(random.Int64N(int64(took))))
					// A run that has ended by itself does not count.
					_ = p.Process.Kill()
					if p.exit(t) == -1 {
						kills++
					}
					if uploads := crashed.uploads(t); len(uploads) == 0 || uploads[0].Upload != 1 {
						break
					}
				}
			}

			if kills == 0 {
				t.Error("no removal was killed")
			}
			if uploads := crashed.uploads(t); uploads[0].Upload == 1 && uploads[0].State == "complete" {
				crashed.run(t, "upload", "rm", "1", "--yes")
			}

			crashed.run(t, "gc", "--yes")
			requireSame(t, crashed.outcome(t), undisturbed.outcome(t))
		})
	}
}

// prepareTwice prepares a corpus in two installations, changes it, and prepares it again.
func (i *installation) prepareTwice(t *testing.T, corpus string, other *installation) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	for n := range 6000 {
		content := make([]byte, 30)
		_, _ = random.Read(content) // it never fails
		if err := writeFile(filepath.Join(corpus, fmt.Sprintf("%02d", n/100), fmt.Sprint(n)), content); err != nil {
			t.Fatal(err)
		}
	}

	both := func() {
		i.run(t, "prepare", corpus, "--shard-size", "2MiB")
		other.run(t, "prepare", corpus, "--shard-size", "2MiB")
	}

	both()
	for n := range 50 {
		if err := os.RemoveAll(filepath.Join(corpus, fmt.Sprintf("%02d", n))); err != nil {
			t.Fatal(err)
		}
	}
	both()
}
