package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestExecute(t *testing.T) {
	const script = "sleep 0.05; echo $WORD; echo no >&2"
	took, output, err := execute(t.Context(), []string{"WORD=said"}, "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	if string(output) != "said\n" || took.wall < 50*time.Millisecond || took.memory < 100<<10 || took.memory > 1<<30 {
		t.Errorf("output %q, %v, %d bytes", output, took.wall, took.memory)
	}
}

func TestExecuteReportsFailure(t *testing.T) {
	_, _, err := execute(t.Context(), nil, "/bin/sh", "-c", "echo the reason >&2; exit 3")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v", err)
	}
}

func TestExecuteKillsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()

	started := time.Now()
	if _, _, err := execute(ctx, nil, "/bin/sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if time.Since(started) > 10*time.Second {
		t.Error("the program ran on")
	}
}

func TestCleanEnviron(t *testing.T) {
	environ := []string{"PATH=/bin", "GUPPY_DATA_DIR=/data", "XDG_CONFIG_HOME=/home", "LANG=C"}
	got := strings.Join(cleanEnviron(environ, "/empty"), " ")
	if got != "PATH=/bin LANG=C XDG_CONFIG_HOME=/empty" {
		t.Errorf("environment %s", got)
	}
}
