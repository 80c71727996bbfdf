package ha

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// host is a temporary directory and the processes that work in it. A process belongs to the host by its working
// directory, as do the processes that it starts: PostgreSQL's leave their parents.
type host struct {
	dir     string
	account *syscall.Credential
	dog     *exec.Cmd
	leash   io.Closer
}

// watchdog takes the directory. When its standard input ends, which also happens when this process is killed, it
// kills the processes of the host and removes the directory.
const watchdog = `
cat >/dev/null
for again in 1 2 3; do
	for process in /proc/[0-9]*; do
		case "$(readlink "$process/cwd")" in "$1"/*) kill -KILL "${process#/proc/}" ;; esac
	done
	sleep 0.1
done
rm -rf -- "$1"
`

func newHost() (h *host, err error) {
	h = &host{}
	if h.account, err = cluster.Account(); err != nil {
		return nil, err
	}
	// The path of a socket has at most about 100 bytes, which TMPDIR may exceed.
	if h.dir, err = os.MkdirTemp("/tmp", "guppy-ha-"); err != nil {
		return nil, err
	}
	if err := h.own(h.dir); err != nil {
		return nil, errors.Join(err, os.Remove(h.dir))
	}

	h.dog = exec.Command("/bin/sh", "-c", watchdog, "watchdog", h.dir)
	h.dog.Dir = "/"
	h.dog.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if h.leash, err = h.dog.StdinPipe(); err == nil {
		err = h.dog.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watchdog: %w", err), os.Remove(h.dir))
	}
	return h, nil
}

// close kills all processes and removes the directory.
func (h *host) close() error { return errors.Join(h.leash.Close(), h.dog.Wait()) }

// own gives a path to the account that the programs run as.
func (h *host) own(path string) error {
	if h.account == nil {
		return nil
	}
	return os.Chown(path, int(h.account.Uid), int(h.account.Gid))
}

func (h *host) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// write makes a file of a program, with the directories above it.
func (h *host) write(content []byte, parts ...string) error {
	path := h.path(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return errors.Join(h.own(filepath.Dir(path)), h.own(path))
}

// start starts a program with the directory of this name as its working directory. Its output goes to a log there.
func (h *host) start(name, program string, args ...string) error {
	log, err := os.OpenFile(h.path(name, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the program has its own descriptor

	command := exec.CommandContext(context.Background(), program, args...)
	command.Dir, command.Stdout, command.Stderr = h.path(name), log, log
	command.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + h.path(name)}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: h.account}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = command.Wait() }() // the watchdog sees to its end
	return nil
}

// signal sends a signal to the processes that work in the directory of this name, or also to those below it.
func (h *host) signal(signal syscall.Signal, name string, below bool) error {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return err
	}
	for _, link := range links {
		at, err := os.Readlink(link)
		if err != nil || at != h.path(name) && (!below || !strings.HasPrefix(at, h.path(name)+"/")) {
			continue // most belong to others
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal a process of %s: %w", name, err)
		}
	}
	return nil
}

// log returns the end of the log of a program.
func (h *host) log(name string) string {
	const most = 3000
	text, err := os.ReadFile(h.path(name, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
