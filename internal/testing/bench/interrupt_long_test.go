//go:build long

package main

import (
	"context"
	"errors"
	"os"
	"testing"
)

func TestMeasureAllCleansUpWhenInterrupted(t *testing.T) {
	o, err := parseOptions([]string{"-only", "prepare", "-engine", "sqlite", "-dir", os.TempDir()}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o.corpora = []corpus{tiny()}

	ctx, cancel := context.WithCancel(t.Context())
	progress := &interrupter{at: "round 1", interrupt: cancel}
	if _, err := measureAll(ctx, o, progress); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}

	expectGone(t, progress.String())
}
