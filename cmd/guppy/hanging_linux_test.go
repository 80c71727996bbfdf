package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe holds.
const pipeSize = 64 << 10

// TestAHangingCommandEndsItsLogInJSON interrupts a command that hangs because nobody reads its output.
func TestAHangingCommandEndsItsLogInJSON(t *testing.T) {
	i := install(t, build(t), engines()[0])
	for n := range 200 {
		noError(t, writeFile(filepath.Join(i.home, "source", strings.Repeat("long ", 40)+strconv.Itoa(n)), nil))
	}
	i.run(t, "prepare", filepath.Join(i.home, "source"))

	read, write, err := os.Pipe()
	noError(t, err)
	defer read.Close() //nolint:errcheck // nobody reads it
	dump := i.command("dump", "--log-format", "json")
	var stderr bytes.Buffer
	dump.Stdout, dump.Stderr = write, &stderr
	noError(t, dump.Start())
	noError(t, write.Close())

	// It has filled the pipe, and waits for somebody to read.
	for began, full := time.Now(), 0; full < pipeSize; time.Sleep(10 * time.Millisecond) {
		full, err = unix.IoctlGetInt(int(read.Fd()), unix.TIOCINQ)
		noError(t, err)
		if time.Since(began) > time.Minute {
			t.Fatalf("it has written %d bytes", full)
		}
	}
	noError(t, dump.Process.Signal(syscall.SIGINT))
	_ = dump.Wait()

	var last struct {
		Message  string `json:"msg"`
		ExitCode int    `json:"exit_code"`
		Resume   string
	}
	lines := bytes.Split(bytes.TrimSpace(stderr.Bytes()), []byte("\n"))
	noError(t, json.Unmarshal(lines[len(lines)-1], &last))
	if !strings.HasPrefix(last.Message, "interrupted, while") || last.ExitCode != exitInterrupted || last.Resume == "" {
		t.Errorf("it ended with %s", &stderr)
	}
}
