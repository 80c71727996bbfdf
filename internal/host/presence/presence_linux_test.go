package presence_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/host/presence"
)

// TestMain acts as another process if a test has started it as one: it prints its name, and stays until its input
// ends.
func TestMain(m *testing.M) {
	if os.Getenv("PROCESS_TEST_NAME") != "" {
		fmt.Println(presence.Name())
		_, _ = fmt.Scanln()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// other is a process that has printed its name.
type other struct {
	name string
	stop func()
}

func start(t *testing.T, prefix ...string) other {
	t.Helper()
	args := slices.Concat(prefix, []string{os.Args[0]})
	command := exec.Command(args[0], args[1:]...)
	command.Env = append(os.Environ(), "PROCESS_TEST_NAME=1")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}

	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	var o other
	if _, err := fmt.Fscanln(out, &o.name); err != nil {
		t.Fatal(err)
	}

	stopped := false
	o.stop = func() {
		if stopped {
			return
		}

		stopped = true
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(o.stop)
	return o
}

func requireGone(t *testing.T, name string, want bool) {
	t.Helper()
	if got := presence.IsGone(name); got != want {
		t.Errorf("%s is gone: %t, want %t", name, got, want)
	}
}

func TestProcessesAreKnownByTheirNames(t *testing.T) {
	requireGone(t, presence.Name(), false)
	requireGone(t, presence.Tag(), false)

	o := start(t)
	host, number := presence.Split(o.name)
	if own, _ := presence.Split(presence.Name()); host != own || number == "" || strings.Contains(number, ".") {
		t.Errorf("%s is split into %q and %q", o.name, host, number)
	}
	requireGone(t, o.name, false)
	o.stop()
	requireGone(t, o.name, true)
}

// TestOnlyKnownEndsCount: a process whose number may mean another process is not known to have ended.
func TestOnlyKnownEndsCount(t *testing.T) {
	o := start(t)
	o.stop()
	host, _ := presence.Split(o.name)
	parts := strings.Split(strings.TrimPrefix(o.name, host+"/"), ".")
	with := func(index int, value string) string {
		changed := append([]string{}, parts...)
		changed[index] = value
		return host + "/" + strings.Join(changed, ".")
	}

	requireGone(t, with(2, "1"), false)
	requireGone(t, with(3, "0"), false)
	requireGone(t, host+"/"+parts[0], false)
	requireGone(t, "", false)
	requireGone(t, "other"+o.name, true) // one machine may have several names

	// The number has been given to another process since.
	own := strings.Split(presence.Tag(), ".")
	requireGone(t, with(0, own[0]), own[1] != parts[1])
}

// TestOtherNamespacesAreNotSeen: the number of a process in a container means another process here, or no process.
func TestOtherNamespacesAreNotSeen(t *testing.T) {
	o := start(t, "unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
	requireGone(t, o.name, false)
	if _, number := presence.Split(o.name); number != "1" {
		t.Errorf("%s is not the first process of its namespace", o.name)
	}
}

// TestWhatWaitsForItsParentIsGone: a killed worker holds nothing, even if its parent never asks for its exit status.
func TestWhatWaitsForItsParentIsGone(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "PROCESS_TEST_NAME=1")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Wait() //nolint:errcheck // it was killed

	var name string
	if _, err := fmt.Fscanln(out, &name); err != nil {
		t.Fatal(err)
	}

	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err == nil { // its end closes the pipe
		t.Error("it is still there")
	}

	for !presence.IsGone(name) { // until the last of its threads has ended; the test's own time limit bounds it
		if t.Context().Err() != nil {
			t.Fatal("it is not gone")
		}
	}
}
