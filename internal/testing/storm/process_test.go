//go:build linux

package storm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a running command of guppy.
type process struct {
	args           []string
	command        *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
	ended          chan struct{}
	err            error
	// signalled is set when the command was told to end.
	signalled atomic.Bool
}

// start starts a command. The command ends with the test at the latest.
func (s *storm) start(t *testing.T, url string, args ...string) *process {
	t.Helper()
	p := &process{args: args, command: exec.Command(s.program, args...), began: time.Now(), ended: make(chan struct{})}
	p.command.Env = []string{
		"HOME=" + s.path("home"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.path("tmp"),
		"GUPPY_DATA_DIR=" + s.path("data-disk/data"), "GUPPY_DATABASE_URL=" + url,
		"GUPPY_PREPARE_STORE=" + s.path("store-disk/store"), "GUPPY_PREPARE_SPACE=" + space, "GUPPY_PREPARE_WORKERS=2",
		"GUPPY_WORKER_LEASE=2s", "GUPPY_REPO_RETRY_FOR=20s", "GUPPY_REPO_CONNECT_TIMEOUT=5s",
	}

	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, p.command.Start())

	go func() {
		defer close(p.ended)
		p.err = p.command.Wait()
	}()
	return p
}

// bound is how long a command may take on a machine that does many other things.
const bound = 5 * time.Minute

// wait waits for a command to end and returns its exit code, or -1 if a signal ended it. A command that takes too
// long must print where it is.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(bound):
		p.signalled.Store(true)
		_ = p.command.Process.Signal(syscall.SIGCONT)
		_ = p.command.Process.Signal(syscall.SIGQUIT)
		<-p.ended
		t.Errorf("it hangs: %s\n%s", p, &p.stderr)
	}

	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Errorf("%s: %v", p, p.err)
	}
	return p.command.ProcessState.ExitCode()
}

// signal sends a signal to a command, unless it has ended.
func (p *process) signal(signal syscall.Signal) { _ = p.command.Process.Signal(signal) }

func (p *process) String() string { return fmt.Sprintf("guppy %s", strings.Join(p.args, " ")) }

// run runs a command while it is calm. The command must succeed; run returns its output.
func (s *storm) run(t *testing.T, args ...string) string {
	t.Helper()
	p := s.start(t, s.url, args...)
	if code := p.wait(t); code != 0 {
		t.Errorf("in the calm, %s: exit code %d\n%s\n%s", p, code, tail(p.stdout.String()), tail(p.stderr.String()))
	}
	return p.stdout.String()
}

func tail(text string) string {
	const most = 3000
	return text[max(0, len(text)-most):]
}

// panicked reports whether a program crashed.
func (p *process) panicked() bool {
	text := p.stderr.String()
	for _, sign := range []string{"panic:", "fatal error:", "DATA RACE", "\ngoroutine "} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
