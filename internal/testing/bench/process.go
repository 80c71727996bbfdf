package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// cost is the time and memory that a process took.
type cost struct {
	wall time.Duration
	// cpu is the time that all of its threads ran.
	cpu time.Duration
	// memory is the most resident memory, in bytes. A kernel may start counting at what this process had resident
	// when it started the other one, so this process stays small.
	memory int64
}

// execute runs a program to its end, or kills it if the context ends, and returns its standard output.
func execute(ctx context.Context, environ []string, program string, args ...string) (cost, []byte, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, program, args...)
	command.Env, command.Stdout, command.Stderr = environ, &stdout, &stderr
	command.WaitDelay = 5 * time.Second

	started := time.Now()
	err := command.Run()
	took := cost{wall: time.Since(started)}

	if err != nil && ctx.Err() != nil {
		return took, nil, context.Cause(ctx)
	}
	if err != nil {
		return took, nil, fmt.Errorf("%s: %w\n%s", command, err, tail(stderr.Bytes()))
	}

	took.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()

	// The kernel knows the peak memory of a process that has ended.
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		took.memory = usage.Maxrss * maxrssUnit()
	}
	return took, stdout.Bytes(), nil
}

// maxrssUnit is the unit in which the kernel counts resident memory.
func maxrssUnit() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1 << 10
}

func tail(text []byte) []byte {
	const length = 2048
	return text[max(0, len(text)-length):]
}
