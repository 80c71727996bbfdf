package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// readings are commands that read, and print the same whenever nothing has changed.
var readings = [][]string{
	{"upload", "ls"}, {"upload", "show", "1"}, {"space", "ls"}, {"source", "ls", "default"}, {"shard", "ls", "1"},
	{"index", "ls", "1"}, {"ls", "-l", "default/latest"}, {"find", "*"}, {"stats", "1"}, {"check", "--read-data"},
	{"verify", "1"}, {"store", "check"}, {"dump"},
}

// read runs all commands that read. Those that read from a standby must say so.
func (i *installation) read(t *testing.T, said string) (outputs []string) {
	t.Helper()
	for _, args := range readings {
		p := i.start(t, args...)
		if code := p.exit(t); code != 0 {
			t.Errorf("guppy %s: exit code %d\n%s%s", args, code, &p.stdout, &p.stderr)
		}
		if stderr := p.stderr.String(); !strings.Contains(stderr, said) {
			t.Errorf("guppy %s does not say %q:\n%s", args, said, stderr)
		}
		outputs = append(outputs, p.stdout.String())
	}
	return outputs
}

// awaitStandby waits until guppy status reads from a standby that is connected, or is not.
func (i *installation) awaitStandby(t *testing.T, want standbyView) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var status struct{ Standby *standbyView }
		noError(t, json.Unmarshal([]byte(i.run(t, "status", "--json")), &status))
		got := status.Standby
		if got != nil && got.Connected == want.Connected && (want.Behind == nil || got.Behind != nil && *got.Behind == 0) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the standby is %+v", got)
		}
	}
}

// TestReadingFromAStandby reads from a standby what was prepared on its primary, also when that is gone. Commands that
// change anything go to the primary.
func TestReadingFromAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.StartStandby(t)
	i := install(t, build(t), engine{"postgres", func(testing.TB) string { return primary.URL() }})
	source := filepath.Join(i.home, "source")
	noError(t, os.Mkdir(source, 0o755))
	noError(t, os.WriteFile(filepath.Join(source, "file"), make([]byte, 100_000), 0o644))
	i.run(t, "prepare", source)
	want := i.read(t, "")

	i.env = []string{"GUPPY_REPO_READ_URL=" + standby.URL()}
	i.awaitStandby(t, standbyView{Connected: true, Behind: new(float64)})
	compareOutputs(t, i.read(t, "reading from a standby"), want)
	i.run(t, "upload", "tag", "1", "--add", "kept")
	i.awaitStandby(t, standbyView{Connected: true, Behind: new(float64)})
	if shown := i.run(t, "upload", "show", "1"); !strings.Contains(shown, "kept") {
		t.Errorf("the standby shows no tag:\n%s", shown)
	}
	i.run(t, "upload", "tag", "1", "--remove", "kept")
	i.awaitStandby(t, standbyView{Connected: true, Behind: new(float64)})

	primary.Stop(pgtest.Immediate)
	i.awaitStandby(t, standbyView{Connected: false})
	compareOutputs(t, i.read(t, "reading from a standby that is not connected to its primary"), want)
	i.run(t, "backup", filepath.Join(i.home, "backup"))
	i.run(t, "backup", "--check", filepath.Join(i.home, "backup"))
}

func compareOutputs(t *testing.T, got, want []string) {
	t.Helper()
	for n, args := range readings {
		if got[n] != want[n] {
			t.Errorf("guppy %s prints\n%swant\n%s", args, got[n], want[n])
		}
	}
}
