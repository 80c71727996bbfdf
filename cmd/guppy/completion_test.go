package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestCompletionReadsAServer(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	environ := []string{"GUPPY_DATABASE_URL=" + pgtest.URL(t)}
	if code := run(t.Context(), []string{"space", "add", "photos"}, environ, io.Discard, os.Stderr); code != exitComplete {
		t.Fatalf("exit code %d", code)
	}

	var out bytes.Buffer
	code := run(t.Context(), []string{"__complete", "upload", "ph"}, environ, &out, os.Stderr)
	if code != exitComplete || out.String() != "photos\n:4\n" {
		t.Errorf("exit code %d and %q", code, &out)
	}
}

// TestCompletionDoesNotWait asks for names while the database server accepts connections and says nothing.
func TestCompletionDoesNotWait(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // the test is over

	var out bytes.Buffer
	begun := time.Now()
	line := []string{"__complete", "verify", "--database-url", "postgres://guppy@" + silent.Addr().String() + "/guppy", ""}
	t.Setenv("HOME", t.TempDir())
	if code := run(t.Context(), line, nil, &out, os.Stderr); code != exitComplete {
		t.Errorf("exit code %d", code)
	}

	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	if out.String() != ":4\n" {
		t.Errorf("got %q", &out)
	}
}
