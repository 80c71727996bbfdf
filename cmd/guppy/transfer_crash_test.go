//go:build long

package main

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

const (
	manyNodes     = 60_000
	transferKills = 3 // for each engine
)

// addNodes makes a repository large. The nodes belong to no shard, which copying does not check.
func addNodes(t *testing.T, url string) {
	t.Helper()
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(url)})
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	random, suffix := rand.New(rand.NewPCG(1, 1)), make([]byte, 24)

	err = db.BulkInsert(t.Context(), tx, "nodes", []string{"prefix", "shard", "position", "length", "codec", "suffix"},
		manyNodes, func(i int) []any {
			binary.BigEndian.PutUint64(suffix, random.Uint64())
			return []any{random.Int64(), int64(1000), int64(i), int64(1), int64(0x55), suffix}
		})

	if err := errors.Join(err, tx.Commit(t.Context()), tx.Release()); err != nil {
		t.Fatal(err)
	}
}

// killedInTheMidst kills a command after a part of the time that it takes.
func (i *installation) killedInTheMidst(t *testing.T, part float64, took time.Duration, args ...string) {
	t.Helper()
	p := i.start(t, args...)
	p.runFor(time.Duration(part * float64(took)))
	_ = p.Process.Kill() // it may have ended by itself
	p.exit(t)
}

// TestAKilledCopyLeavesNothing kills transfers and backups at random points, then lets one finish.
func TestAKilledCopyLeavesNothing(t *testing.T) {
	t.Parallel()
	program := build(t)
	t.Run("transfer", func(t *testing.T) { killTransfers(t, program) })
	t.Run("backup", func(t *testing.T) { killBackups(t, program) })
}

func killTransfers(t *testing.T, program string) {
	source := install(t, program, engine{fresh: func(t testing.TB) string {
		return filepath.Join(t.TempDir(), "source.db")
	}})
	addNodes(t, source.url)
	want := source.run(t, "dump")

	for _, e := range enginetest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			began := time.Now()
			source.run(t, "transfer", "--to", e.Settings(t).URL.Reveal())
			took, to := time.Since(began), e.Settings(t).URL.Reveal()

			target := &installation{program: program, home: source.home, url: to}
			random := rand.New(rand.NewPCG(2, 2))
			for range transferKills {
				source.killedInTheMidst(t, random.Float64(), took, "transfer", "--to", to)
				if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) && e.Name == "sqlite" {
					continue
				}

				if dump := target.runIfThere(t, "dump"); dump != "" && dump != want {
					t.Fatalf("the target holds a part: %d lines", strings.Count(dump, "\n"))
				} else if dump == want {
					return // it was too late
				}
			}

			source.run(t, "transfer", "--to", to)
			if target.run(t, "dump") != want {
				t.Error("the target is another one")
			}
		})
	}
}

func killBackups(t *testing.T, program string) {
	for _, e := range enginetest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			source := install(t, program, engine{fresh: func(tb testing.TB) string {
				return e.Settings(tb).URL.Reveal()
			}})
			addNodes(t, source.url)

			dir := t.TempDir()
			began := time.Now()
			source.run(t, "backup", filepath.Join(t.TempDir(), "whole.db"))
			took, file := time.Since(began), filepath.Join(dir, "killed.db")

			random := rand.New(rand.NewPCG(3, 3))

			for range transferKills {
				source.killedInTheMidst(t, random.Float64(), took, "backup", file, "--force")
				if _, err := os.Stat(file); err == nil {
					break // it was too late
				}
			}

			source.run(t, "backup", file, "--force")
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 {
				t.Errorf("there is more than the backup: %v; %v", left, err)
			}

			restored := install(t, program, engine{fresh: func(testing.TB) string { return "" }})
			restored.run(t, "restore", file)
			if restored.run(t, "dump") != source.run(t, "dump") {
				t.Error("what was restored is another one")
			}
		})
	}
}
