package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// stopTimeout limits a stop that has no other limit.
const stopTimeout = 30 * time.Second

// Mode is the way a server is stopped, in pg_ctl's words.
type Mode string

const (
	// Fast breaks connections, rolls their transactions back and shuts down cleanly.
	Fast Mode = "fast"
	// Immediate is like a crash: nothing is flushed, and the next start recovers from the log.
	Immediate Mode = "immediate"
)

func (m Mode) signal() (os.Signal, error) {
	switch m {
	case Fast:
		return syscall.SIGINT, nil
	case Immediate:
		return syscall.SIGQUIT, nil
	}
	return nil, fmt.Errorf("unknown stop mode %q: it is %q or %q", string(m), Fast, Immediate)
}

// process is a running server. A goroutine waits for its end and then closes exited.
type process struct {
	command *exec.Cmd
	exited  chan struct{}
}

func (c *Cluster) startProcess() (*process, error) {
	command := c.command(context.Background(), "postgres", c.serverArgs()...)
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("server log: %w", err)
	}
	defer func() { _ = log.Close() }()

	// The server has its own descriptor of the log, so this one may be closed.
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}

	p := &process{command: command, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		_ = command.Wait() // The log says why a server ended, its exit status does not.
	}()

	return p, nil
}

func (c *Cluster) serverArgs() []string {
	args := []string{"-D", c.dataDir(), "-k", c.socketDir, "-h", listenHost, "-p", strconv.Itoa(c.port), "-N", "200"}
	if !c.options.Durable {
		// Commits stay synchronous: what was committed must survive an immediate stop.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	return append(args, c.tlsArgs()...)
}

// command prepares one of PostgreSQL's programs to run as the server's account, away from the terminal's signals.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.programs.path(name), args...)
	command.Dir = c.dir
	command.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	return command
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) stop(ctx context.Context, mode Mode) error {
	signal, err := mode.signal()
	if err != nil {
		return err
	}

	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}

	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop PostgreSQL: %w", ctx.Err())
	}
}

// wait returns once the server gives no refusal, or returns why it doesn't come to that.
func (c *Cluster) wait(ctx context.Context, server *process, refuses func(context.Context, string) error) error {
	for {
		refusal := refuses(ctx, c.SocketURL())
		if refusal == nil {
			return nil
		}
		select {
		case <-server.exited:
			return fmt.Errorf("PostgreSQL ended as it started; its log ends with:\n%s", tail(c.logFile()))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL isn't ready: %w (last refusal: %w)", ctx.Err(), refusal)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ping(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// tail returns the end of a text file, as far as it can be read.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()

	const length = 2048
	if info, err := file.Stat(); err == nil && info.Size() > length {
		_, _ = file.Seek(-length, io.SeekEnd)
	}
	text, _ := io.ReadAll(file)
	return string(text)
}

// freePort finds a TCP port that nobody listens on. It stays below the usual range of outgoing connections: these
// could take the port while the server is stopped, or connect to themselves when they try to reach it.
func freePort() (int, error) {
	const lowest, count, attempts = 15000, 17000, 100
	for range attempts {
		port := lowest + rand.IntN(count)
		listener, err := net.Listen("tcp", net.JoinHostPort(listenHost, strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no free TCP port for PostgreSQL")
}
