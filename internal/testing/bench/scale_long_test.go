//go:build long

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestKeptRepositoriesAreMeasuredAgain runs the experiment twice, the second time with nothing in memory.
func TestKeptRepositoriesAreMeasuredAgain(t *testing.T) {
	dir, err := os.MkdirTemp("", "guppy-scale-") // the database server, another user, reaches it
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		more   []string
		filled int
	}{{nil, 2}, {[]string{"-cold"}, 0}} {
		o, err := parseOptions(append(run.more, "-only", "scale", "-entries", "20000", "-rounds", "1", "-query", "blocks",
			"-dir", dir, "-filled", dir), os.Stderr)
		if err != nil {
			t.Fatal(err)
		}

		var progress bytes.Buffer
		r, err := measureAll(t.Context(), o, &progress)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(progress.String(), "scale: "); got != run.filled || len(r.Further) != 2*2 {
			t.Errorf("filled %d repositories, not %d, and measured %d queries", got, run.filled, len(r.Further))
		}
		expectGone(t, progress.String())
	}
}
