//go:build long

package main

import (
	"slices"
	"strings"
	"testing"
)

// TestMigrationsKeepAnUpload migrates the schema of an interrupted upload and of a complete one a version back
// and forth again.
func TestMigrationsKeepAnUpload(t *testing.T) {
	t.Parallel()
	program, corpus := build(t), t.TempDir()
	if err := writeCorpus(corpus); err != nil {
		t.Fatal(err)
	}

	prepare := []string{"prepare", corpus, "--shard-size", "2MiB"}
	undisturbed := install(t, program, engines()[0])
	undisturbed.run(t, prepare...)
	want := undisturbed.outcome(t)

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)
			p := i.start(t, prepare...)
			if !i.running(p, 5) {
				t.Fatalf("it ended too soon\n%s", &p.stderr)
			}

			if err := p.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			p.exit(t)

			i.backAndForth(t)
			if i.complete(t) {
				t.Fatal("it was complete")
			}

			i.run(t, prepare...)
			requireSameContent(t, i.outcome(t), want)

			// The complete upload survives as well.
			i.backAndForth(t)
			requireSameContent(t, i.outcome(t), want)
		})
	}
}

// backAndForth requires that the packed content is the same afterwards.
func (i *installation) backAndForth(t *testing.T) {
	t.Helper()
	packed := func() []string {
		return slices.DeleteFunc(strings.Split(i.run(t, "dump"), "\n"), func(row string) bool {
			return !strings.Contains(row, `"table":"nodes"`) && !strings.Contains(row, `"table":"segments"`)
		})
	}
	before := packed()
	i.run(t, "migrate", "down", "2", "--yes", "--destroy-data")
	i.run(t, "migrate", "up")
	if after := packed(); len(before) == 0 || !slices.Equal(after, before) {
		t.Errorf("%d rows before, %d after, and not the same", len(before), len(after))
	}
}

func requireSameContent(t *testing.T, got, want outcome) {
	t.Helper()
	if want.root == "" || got.root != want.root || !slices.Equal(got.shards, want.shards) {
		t.Errorf("root %q and %d shards, want %q and %d", got.root, len(got.shards), want.root, len(want.shards))
	}
}
