package sqlite

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/dialect"
)

// firstLogLock is the position of the write-ahead log's first lock in its shared memory. The locks are those of the
// writer, of the checkpoint and of recovery, followed by those of the readers. See "WAL-mode File Format" of
// SQLite's documentation.
const firstLogLock = 120

// Writing finds the process that has locked the write-ahead log in the kernel's list of locks, see proc_locks(5).
// Asking for the lock itself would mean to open the file, and closing it again would release the locks of this
// process.
func (Engine) Writing(db *dialect.DB) string {
	file, err := fileOf(db.Settings)
	if err != nil {
		return ""
	}

	var shared unix.Stat_t
	if err := unix.Stat(file+"-shm", &shared); err != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}

	for lines := bufio.NewScanner(bytes.NewReader(locks)); lines.Scan(); {
		pid, found := logLockOf(lines.Text(), shared.Ino)
		if found && pid != os.Getpid() {
			return describeProcess(pid)
		}
	}
	return ""
}

// logLockOf parses a line such as "3: POSIX ADVISORY WRITE 1234 fe:00:5678 120 120". In such a line, "-> " before
// POSIX marks a waiting process.
func logLockOf(line string, inode uint64) (pid int, found bool) {
	fields := strings.Fields(line)
	if len(fields) != 8 || fields[1] != "POSIX" || fields[3] != "WRITE" {
		return 0, false
	}
	file := strings.Split(fields[5], ":")
	if file[len(file)-1] != strconv.FormatUint(inode, 10) {
		return 0, false
	}

	begin, err := strconv.Atoi(fields[6])
	if err != nil || begin < firstLogLock {
		return 0, false
	}
	pid, err = strconv.Atoi(fields[4])
	return pid, err == nil && pid > 0
}

// describeProcess names a process of this host, and says what to do if it was stopped.
func describeProcess(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(stat, ')') // the name before it may hold anything
	if err != nil || end < 0 {
		return fmt.Sprintf("process %d", pid)
	}
	name, state := stat[bytes.IndexByte(stat, '(')+1:end], bytes.TrimSpace(stat[end+1:])
	if bytes.HasPrefix(bytes.ToUpper(state), []byte("T")) {
		return fmt.Sprintf("process %d (%s), which is stopped: kill -CONT %d lets it go on", pid, name, pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, name)
}
