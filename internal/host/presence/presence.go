// Package presence reports which processes are alive. The name of a process is unique, so that no process is ever
// taken for another: not for a later one with the same number, nor for one in another container or on another host
// with the same name.
package presence

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// Name returns the name of this process: "HOST/TAG".
func Name() string {
	host, _ := os.Hostname()
	return host + "/" + Tag()
}

// Tag returns what distinguishes this process from all others, of any time and on any host: its number, its start time,
// its PID namespace and the boot of the machine, separated by dots. Letters and digits are its only other characters.
// Where the system does not say all of that, the tag is the number alone.
func Tag() string { return ownTag() }

var ownTag = sync.OnceValue(func() string {
	number := strconv.Itoa(os.Getpid())
	self, err := ownView()
	if err != nil {
		return number
	}
	started, _, err := inspect(os.Getpid())
	if err != nil {
		return number
	}
	return strings.Join([]string{number, started, self.namespace, self.boot}, ".")
})

// Split splits a name into the host and the number of its process, for people to read.
func Split(name string) (host, number string) {
	end := strings.LastIndexByte(name, '/')
	if end < 0 {
		return name, ""
	}
	number, _, _ = strings.Cut(name[end+1:], ".")
	return name[:end], number
}

// Describe describes the process with a name in words: "process 7 on HOST".
func Describe(name string) string {
	host, number := Split(name)
	if number == "" {
		return name
	}
	return "process " + number + " on " + host
}

// IsGone reports whether the process with this name or tag is known to have ended. It returns false for processes
// that this one can't see: those of another PID namespace, of another boot or host, and those whose tag is a number
// alone.
func IsGone(name string) bool {
	parts := strings.Split(name[strings.LastIndexByte(name, '/')+1:], ".")
	if len(parts) != 4 {
		return false
	}
	pid, err := strconv.Atoi(parts[0])
	if err != nil || pid <= 0 {
		return false
	}

	self, err := ownView()
	if err != nil || self != (view{namespace: parts[2], boot: parts[3]}) {
		return false
	}

	started, ended, err := inspect(pid)
	if err != nil {
		return isAbsent(pid)
	}
	return ended || started != parts[1]
}

// view identifies the processes that a process sees: those of one PID namespace, since one boot of the machine.
type view struct{ namespace, boot string }
