package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestServe asks the program for a file, and ends it with a signal while an answer is under way.
func TestServe(t *testing.T) {
	t.Parallel()
	program := build(t)
	for n, e := range engines() {
		signal := []os.Signal{os.Interrupt, syscall.SIGTERM}[n%2]
		t.Run(fmt.Sprintf("%s %s", e.name, signal), func(t *testing.T) { serveAndEnd(t, install(t, program, e), signal) })
	}
}

func serveAndEnd(t *testing.T, i *installation, signal os.Signal) {
	tree := filepath.Join(i.home, "tree")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "large"), content, 0o644); err != nil {
		t.Fatal(err)
	}

	i.run(t, "prepare", tree)
	away := i.store() + " away"
	noError(t, os.Rename(i.store(), away))

	server := i.serve(t)
	if status, body := get(t, server.Roots[0].URL); status != http.StatusServiceUnavailable {
		t.Errorf("without a store: status %d: %s", status, body)
	}
	noError(t, os.Rename(away, i.store()))

	answer, err := http.Get(server.Roots[0].URL + "large")
	if err != nil {
		t.Fatal(err)
	}

	defer answer.Body.Close() //nolint:errcheck // it is only read

	begin := make([]byte, 100)
	if _, err := io.ReadFull(answer.Body, begin); err != nil || !bytes.Equal(begin, content[:100]) {
		t.Fatalf("%q: %v", begin, err)
	}

	server.end(t, signal)
}

// TestServeFromTheSource prepares a source without keeping bytes, and then changes the source.
func TestServeFromTheSource(t *testing.T) {
	t.Parallel()
	program := build(t)
	for _, e := range eachLong() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)
			tree := filepath.Join(i.home, "tree")
			writeChunks(t, tree)
			i.run(t, "prepare", tree, "--store", "none:")

			server := i.serve(t)
			defer server.end(t, os.Interrupt)

			file := server.Roots[0].URL + "0/4"
			want, err := os.ReadFile(filepath.Join(tree, "0", "4"))
			noError(t, err)
			if status, body := get(t, file); status != http.StatusOK || !bytes.Equal(body, want) {
				t.Errorf("status %d, %d bytes of %d", status, len(body), len(want))
			}

			noError(t, os.WriteFile(filepath.Join(tree, "0", "4"), []byte("another"), 0o644))
			if status, body := get(t, file); status == http.StatusOK && bytes.Equal(body, want) {
				t.Error("what is gone is served")
			}

			if status, body := get(t, server.Roots[0].URL+"0/4?format=raw"); status != http.StatusOK {
				t.Errorf("status %d for a node that rows tell: %s", status, body)
			}
		})
	}
}

func get(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	answer, err := http.Get(url)
	noError(t, err)
	defer answer.Body.Close()         //nolint:errcheck // it is only read
	body, _ = io.ReadAll(answer.Body) // an answer that is cut short is judged by its bytes
	return answer.StatusCode, body
}

// server is a program that serves.
type server struct {
	*exec.Cmd
	served
	stderr bytes.Buffer
}

// serve starts a server, which is killed when the test ends.
func (i *installation) serve(t *testing.T) *server {
	t.Helper()
	s := &server{Cmd: i.command("serve", "--listen", "127.0.0.1:0", "--json")}

	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close() //nolint:errcheck // it is only read

	s.Stdout, s.Stderr = input, &s.stderr
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill() }) // it has ended unless the test failed

	_ = input.Close()
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, &s.stderr)
	}
	if err := json.Unmarshal(line, &s.served); err != nil || len(s.Roots) != 1 {
		t.Fatalf("%s: %v", line, err)
	}
	return s
}

// end requires that a signal ends the server well.
func (s *server) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = s.Process.Kill() })
	defer stuck.Stop()
	if err := s.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &s.stderr)
	}
}
