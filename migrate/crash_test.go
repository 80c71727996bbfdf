//go:build long

package migrate

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	crashes    = 20 // of each engine and start
	mostRounds = 5 * crashes
)

// TestKilledProcessesLeaveCleanVersions kills processes that migrate an empty database or an older one. Each leaves a
// version and the schema that belongs to it, and the next one goes on from there.
func TestKilledProcessesLeaveCleanVersions(t *testing.T) {
	for engine, fresh := range map[string]func(*testing.T) dialect.Settings{
		"sqlite": sqliteSettings, "postgres": postgresSettings,
	} {
		t.Run(engine+", empty", func(t *testing.T) {
			left := killOften(t, fresh, 0)
			if left[0] == 0 || left[0]+left[many] < crashes {
				t.Errorf("processes by the version they left: %v", left)
			}
		})
		t.Run(engine+", older", func(t *testing.T) {
			left := killOften(t, fresh, 1)
			if left[0] > 0 || len(left) < 3 {
				t.Errorf("processes by the version they left: %v", left)
			}
		})
	}
}

// killOften counts killed processes by the version that they left. The first process shows how long one takes.
func killOften(t *testing.T, fresh func(*testing.T) dialect.Settings, from int) map[uint]int {
	t.Helper()
	random, left := rand.New(rand.NewPCG(1, uint64(from))), map[uint]int{}
	took, killed := killAfter(t, older(t, fresh(t), from), time.Minute)
	if killed {
		t.Fatal("a process doesn't end")
	}
	for round, kills := 0, 0; kills < crashes; round++ {
		if round == mostRounds {
			t.Fatalf("only %d processes were killed", kills)
		}
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			settings := older(t, fresh(t), from)
			if _, killed := killAfter(t, settings, time.Duration(random.Int64N(int64(took)))); killed {
				kills++
				left[requireGoesOn(t, settings)]++
			}
		})
	}
	return left
}

// older brings a database to a version.
func older(t *testing.T, settings dialect.Settings, version int) dialect.Settings {
	t.Helper()
	if version > 0 {
		mustUp(t, migrator(settings, manyFiles(version)))
	}
	return settings
}

// killAfter starts a process that migrates, and kills it that long after it has begun unless it has ended by then.
func killAfter(t *testing.T, settings dialect.Settings, delay time.Duration) (took time.Duration, killed bool) {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), envEnsure+"="+settings.URL.Reveal(), envMany+"=yes")
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewScanner(stdout)
	output.Scan()
	begun := time.Now()
	defer time.AfterFunc(delay, func() { _ = process.Process.Kill() }).Stop()
	ended := output.Scan()
	took = time.Since(begun)
	_ = process.Wait() // it may have been killed
	if code := process.ProcessState.ExitCode(); code > 0 {
		t.Fatalf("exit code %d, %s", code, output.Text())
	}
	return took, !ended
}

// requireGoesOn returns the version that a killed process left. Its server may go on for a moment, with the lock.
func requireGoesOn(t *testing.T, settings dialect.Settings) uint {
	t.Helper()
	m := migrator(settings, manyFiles(many))
	result, err := m.Ensure(t.Context(), mustStatus(t, m).Current > 0)
	if err != nil || result.To != many {
		t.Fatalf("%+v, %v", result, err)
	}
	if tables := len(readSchema(t, settings)); tables != many {
		t.Fatalf("%d tables", tables)
	}
	requireVersion(t, m, many, false)
	return result.From
}
