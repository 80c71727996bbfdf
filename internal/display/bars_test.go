package display

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/guppy-prep/guppy/internal/progress"
)

var update = flag.Bool("update", false, "write the golden files")

// TestScreens draws the bars of work that has gone on for ten seconds, on a narrow and on a wide terminal.
func TestScreens(t *testing.T) {
	for name, work := range map[string]func() (source progress.Source, goOn func()){
		"prepare": preparing, "check": checking, "store_sync": syncing, "worker": working, "transfer": transferring,
	} {
		t.Run(name, func(t *testing.T) {
			source, goOn := work()
			b := &bars{gauge: progress.NewGauge(source, time.Minute), height: 24}
			now := time.Unix(1, 0)
			b.Update(lookMsg(now))
			goOn()
			b.Update(lookMsg(now.Add(10 * time.Second)))

			var screens strings.Builder
			for _, width := range []int{80, 120} {
				b.Update(tea.WindowSizeMsg{Width: width, Height: 24})
				fmt.Fprintf(&screens, "%d columns\n%s\n\n", width, Plain(strings.Join(b.lines(), "\n")))
			}
			requireGolden(t, name, strings.ReplaceAll(screens.String(), " \n", "\n"))
		})
	}
}

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./internal/display -update writes it):\n%s\nwant\n%s", file, got, want)
	}
}

func preparing() (progress.Source, func()) {
	counters := &progress.Counters{}
	counters.Enter("packing")
	counters.FilesTotal.Store(120_000)
	counters.BytesTotal.Store(2 << 40)
	counters.OtherFiles.Store(40_000)
	counters.OtherBytes.Store(700 << 30)
	first, second := counters.Shard("shard 12", 32<<30), counters.Shard("shard 13", 32<<30)
	return counters.State, func() {
		first.Add(3 << 30)
		second.Add(2 << 30)
		counters.Files.Store(250)
		counters.Sending("bagbaierab.car", 32<<30).Add(1 << 30)
		counters.Sent.Store(7)
	}
}

func checking() (progress.Source, func()) {
	task := progress.NewTask("checking", "")
	task.Begin("checking files", "file")
	task.Expect(900, 900<<30)
	task.Add(300, 299<<30)
	part := task.Part("shard 301", 1<<30)
	return task.State, func() { part.Add(600 << 20) }
}

func syncing() (progress.Source, func()) {
	task := progress.NewTask("sending", "file")
	task.Expect(12, 12<<30)
	task.Add(3, 3<<30)
	// The names of files are long.
	name := "bagbaieraj6fffli6jvgc2v4srruoxoldwdtpnhpycwoisqxjr5dw3yndvtpq.car"
	first, second := task.Part(name, 1<<30), task.Part("c"+name, 1<<30)
	return task.State, func() {
		first.Add(200 << 20)
		second.Add(100 << 20)
	}
}

func working() (progress.Source, func()) {
	state := progress.State{Doing: "waiting for work", Work: "work", Item: "file"}
	return func() progress.State { return state }, func() {
		state.Doing, state.Items, state.Bytes = "packing shards 0, 1 of upload 12", 10, 1<<30
		state.Parts = []progress.State{
			{Doing: "shard 0", Bytes: 1 << 30, BytesTotal: 2 << 30}, {Doing: "shard 1", BytesTotal: 2 << 30},
		}
	}
}

func transferring() (progress.Source, func()) {
	state := progress.State{Doing: "copying", Item: "row", ItemsTotal: 9_000_000}
	return func() progress.State { return state }, func() {
		state.Items = 1_000_000
		state.Parts = []progress.State{{Doing: "checking nodes", Item: "row", Items: 400_000, ItemsTotal: 8_000_000}}
	}
}
