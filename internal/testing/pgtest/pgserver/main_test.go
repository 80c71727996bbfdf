//go:build long

package main

import (
	"bufio"
	"context"
	"io"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
	"github.com/jackc/pgx/v5"
)

func TestServeUntilInputOrContextEnds(t *testing.T) {
	tests := map[string]func(end context.CancelFunc, input io.Closer) error{
		"input":   func(_ context.CancelFunc, input io.Closer) error { return input.Close() },
		"context": func(end context.CancelFunc, _ io.Closer) error { end(); return nil },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()

			input, inputEnd := io.Pipe()
			output, outputEnd := io.Pipe()
			served := make(chan error, 1)
			go func() {
				err := serve(ctx, cluster.Options{}, input, outputEnd)
				_ = outputEnd.CloseWithError(err)
				served <- err
			}()

			scanner := bufio.NewScanner(output)
			scanner.Scan()
			conn, err := pgx.Connect(t.Context(), scanner.Text())
			if err != nil {
				t.Fatal(err)
			}

			if err := end(cancel, inputEnd); err != nil {
				t.Fatal(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}

			if err := conn.Ping(t.Context()); err == nil {
				t.Error("the server is still there")
			}
			_ = inputEnd.Close()
		})
	}
}
