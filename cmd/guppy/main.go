// Command guppy turns directories into content-addressed CAR shards.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// graceTime limits the time in which an interrupted run may stop by itself. The next run cleans up after it.
const graceTime = 1500 * time.Millisecond

func main() { os.Exit(supervise()) }

// supervise runs the command line. After a signal it gives up if the run does not stop within graceTime.
func supervise() int {
	ctx, stop := interruptible(context.Background())
	defer stop()

	code, a := make(chan int, 1), newApp(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	defer a.screen.HeedStops()()
	go func() { code <- a.run(ctx) }()

	select {
	case c := <-code:
		return c
	case <-ctx.Done():
	}

	// A call that does not answer, such as one to a hung file system, must not keep the process.
	select {
	case c := <-code:
		return c
	case <-time.After(graceTime):
		// An interrupt is the normal end of a live screen.
		if a.screen.Abandon() {
			return exitComplete
		}

		a.abandoned()
		return exitInterrupted
	}
}

// abandoned says that the program ends although something still hangs. It waits for nothing of what may hang.
func (a *app) abandoned() {
	message, again := "interrupted, while an operation did not answer", a.resume.lineFor(os.Args)
	if a.logsJSON.Load() {
		failJSON(slog.New(slog.NewJSONHandler(os.Stderr, nil)), message, "", again, exitInterrupted)
		return
	}
	fmt.Fprintln(os.Stderr, "guppy:", message)
	printResume(os.Stderr, again)
}

// interruptible returns a context that ends with the first signal that asks the program to stop. A signal that
// was ignored when the program started stays ignored, because nohup relies on this.
func interruptible(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	var heeded []os.Signal
	for _, asked := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(asked) {
			heeded = append(heeded, asked)
		}
	}

	// NotifyContext takes an empty list for all signals.
	if len(heeded) == 0 {
		return context.WithCancel(parent)
	}
	return signal.NotifyContext(parent, heeded...)
}
