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
	ctx, stop := interruptible(context.Background())
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

// interruptible returns a context that ends with the first signal that asks the program to stop. A signal that was
// ignored when the program started stays ignored: that is what nohup is for.
func interruptible(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	var heeded []os.Signal
	for _, asked := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(asked) {
			heeded = append(heeded, asked)
		}
	}

	if len(heeded) == 0 { // to NotifyContext, no signal means all of them
		return context.WithCancel(parent)
	}
	return signal.NotifyContext(parent, heeded...)
}
