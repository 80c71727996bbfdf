package cluster

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdog is a small process that outlives this one. It waits for the end of its standard input, which comes when
// it is dismissed or when this process ends, even by SIGKILL. Then it stops a server that is still running and
// removes temporary files.
type watchdog struct {
	command *exec.Cmd
	leash   io.Closer
}

// watchdogScript takes pg_ctl and the data directory, then the directories to remove.
const watchdogScript = `
cat >/dev/null
pg_ctl=$1 data=$2
shift 2
if [ -f "$data/postmaster.pid" ]; then "$pg_ctl" stop -D "$data" -m immediate -w -t 20; fi
if [ $# -gt 0 ]; then rm -rf -- "$@"; fi
`

func (c *Cluster) startWatchdog() (*watchdog, error) {
	args := []string{"-c", watchdogScript, "watchdog", c.programs.path("pg_ctl"), c.dataDir()}
	command := exec.Command("/bin/sh", append(args, c.temporaryDirs()...)...)
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	leash, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", errors.Join(err, leash.Close()))
	}
	return &watchdog{command: command, leash: leash}, nil
}

// dismiss lets the watchdog do its work and waits for it. Only the first call does anything.
func (w *watchdog) dismiss() error {
	if w == nil || w.command.ProcessState != nil {
		return nil
	}
	if err := w.leash.Close(); err != nil {
		return fmt.Errorf("dismiss the watchdog: %w", err)
	}
	if err := w.command.Wait(); err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	return nil
}
