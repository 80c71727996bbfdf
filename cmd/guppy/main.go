// Command guppy turns directories into content-addressed CAR shards.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// graceTime is how long an interrupted run may take to stop by itself. What it leaves is cleaned by the next run.
const graceTime = 1500 * time.Millisecond

func main() { os.Exit(supervise()) }

// supervise runs the command line, and gives up on it when it does not stop soon after a signal.
func supervise() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	code := make(chan int, 1)
	go func() { code <- run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr) }()
	select {
	case c := <-code:
		return c
	case <-ctx.Done():
	}
	select {
	case c := <-code:
		return c
	case <-time.After(graceTime):
		fmt.Fprintln(os.Stderr, "guppy: interrupted while something did not answer")
		printResume(os.Stderr, os.Args)
		return exitInterrupted
	}
}
