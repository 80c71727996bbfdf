package main

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func TestReadAheadLeavesFilesForOthers(t *testing.T) {
	limit, known := openFileLimit()
	if !known || limit < 64 {
		t.Fatalf("the limit of open files is %d, known: %t", limit, known)
	}

	for _, tt := range []struct{ workers, asked int }{{1, 1}, {1, 1 << 20}, {2, 8}, {1 << 16, 512}} {
		cfg := &config.Config{}
		cfg.Prepare.Workers, cfg.Prepare.ReadAhead = tt.workers, tt.asked

		got := readAhead(cfg)
		if got < 1 || got > tt.asked || got > 1 && uint64(got*tt.workers) > min(limit/2, mostReads) {
			t.Errorf("%d workers, %d asked for: %d each, of %d files", tt.workers, tt.asked, got, limit)
		}
		if tt.asked <= 8 && got != tt.asked {
			t.Errorf("%d of %d", got, tt.asked)
		}
	}
}
