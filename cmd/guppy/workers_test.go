package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeRandom makes files that have no content in common.
func writeRandom(root string, files, size int) error {
	random, content := rand.NewChaCha8([32]byte{2}), make([]byte, size)
	for i := range files {
		_, _ = random.Read(content) // it never fails
		if err := writeFile(filepath.Join(root, fmt.Sprintf("%d/%03d", i%7, i)), content); err != nil {
			return err
		}
	}
	return nil
}

func send(t *testing.T, p *process, signal syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// TestAKilledRunIsTakenOver kills one of two runs that share an upload.
func TestAKilledRunIsTakenOver(t *testing.T) {
	t.Parallel()
	program, source := build(t), filepath.Join(t.TempDir(), "source")
	if err := writeRandom(source, 40, 600_000); err != nil {
		t.Fatal(err)
	}

	prepare := []string{"prepare", source, "--shard-size", "1MiB", "--workers", "1"}
	undisturbed := install(t, program, engines()[0])
	undisturbed.run(t, prepare...)
	want := undisturbed.outcome(t)

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)
			killed := i.start(t, prepare...)
			if !i.running(killed, 2) {
				t.Fatalf("it was over too early: %s", &killed.stderr)
			}

			other := i.start(t, prepare...)
			if !i.running(killed, 6) {
				t.Fatalf("it was over too early: %s", &killed.stderr)
			}

			send(t, killed, syscall.SIGKILL)
			if code := killed.exit(t); code != -1 {
				t.Errorf("the run that was to be killed: exit code %d", code)
			}
			if code := other.exit(t); code != exitComplete {
				t.Errorf("the other run: exit code %d\n%s", code, &other.stderr)
			}
			requireSame(t, i.outcome(t), want)
		})
	}
}

// TestSourcesOfOneSpaceAtOnce requires that sources prepared at the same time store each block once.
func TestSourcesOfOneSpaceAtOnce(t *testing.T) {
	t.Parallel()
	program, dir := build(t), t.TempDir()
	sources := []string{filepath.Join(dir, "one"), filepath.Join(dir, "other")}
	for _, source := range sources {
		if err := errors.Join(writeRandom(source, 30, 1_900_000),
			writeFile(filepath.Join(source, "own"), []byte(source))); err != nil {
			t.Fatal(err)
		}
	}

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)
			i.run(t, "space", "add", "shared")
			var runs []*process
			for _, source := range sources {
				runs = append(runs, i.start(t, "prepare", source, "--space", "shared", "--shard-size", "4MiB"))
			}

			for _, p := range runs {
				if code := p.exit(t); code != exitComplete {
					t.Fatalf("exit code %d\n%s", code, &p.stderr)
				}
			}

			requireStoredOnce(t, i.run(t, "dump"))
		})
	}
}

func requireStoredOnce(t *testing.T, dump string) {
	t.Helper()
	type block struct {
		Table  string
		Prefix int64
		Suffix string
	}

	blocks := map[block]bool{}
	for line := range strings.Lines(dump) {
		var row block
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}

		if row.Table == "nodes" && blocks[row] {
			t.Errorf("a block is stored twice: %s", line)
		}
		blocks[row] = true
	}

	if len(blocks) < 60 {
		t.Errorf("only %d blocks", len(blocks))
	}
}
