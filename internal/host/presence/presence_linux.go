package presence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ownView returns the view of this process; see proc(5) for the files.
var ownView = sync.OnceValues(func() (view, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return view{}, err
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return view{}, err
	}

	// In the /proc of another PID namespace, the same numbers stand for other processes.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return view{}, fmt.Errorf("/proc is that of another PID namespace: %w", err)
	}
	return view{
		namespace: strings.Trim(namespace, "pid:[]"),
		boot:      strings.ReplaceAll(strings.TrimSpace(string(boot)), "-", ""),
	}, nil
})

// The fields of /proc/PID/stat behind the name of the program, which is in parentheses and may hold anything.
const (
	fieldState   = 0
	fieldThreads = 17
	fieldStart   = 19
)

// inspect returns when a process started, in ticks since the machine was booted, and reports whether it has ended and
// only waits for its parent. A process that was killed has not ended while one of its threads hangs in the kernel,
// since the system call of that thread may still be carried out.
func inspect(pid int) (started string, ended bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= fieldStart {
		return "", false, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	threads, err := strconv.Atoi(fields[fieldThreads])
	state := fields[fieldState]
	return fields[fieldStart], (state == "Z" || state == "X") && threads <= 1, err
}

// isAbsent reports whether no process has this number. /proc may hide those of other users, but kill(2) does not.
func isAbsent(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
