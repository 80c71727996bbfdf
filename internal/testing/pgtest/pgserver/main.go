// Command pgserver starts a PostgreSQL server for benchmarks and experiments, prints its URL, and stops it on
// SIGINT, on SIGTERM, or at the end of its standard input.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

func main() {
	var options cluster.Options
	flag.StringVar(&options.Dir, "dir", "", "directory to keep the server's data in (default: a temporary one)")
	flag.BoolVar(&options.Durable, "durable", false, "flush commits to the disk, as a production server does")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, options, os.Stdin, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgserver:", err)
		os.Exit(1)
	}
}

// serve runs a server until the context or the input ends.
func serve(ctx context.Context, options cluster.Options, input io.Reader, output io.Writer) (err error) {
	startCtx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()

	server, err := cluster.New(startCtx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	if _, err := fmt.Fprintln(output, server.URL()); err != nil {
		return err
	}

	ended := make(chan struct{})
	go func() { // Nobody waits for it: a read of the terminal can't be interrupted, and the process ends next.
		defer close(ended)
		_, _ = io.Copy(io.Discard, input)
	}()

	select {
	case <-ctx.Done():
	case <-ended:
	}
	return nil
}
