//go:build linux

package storm_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/internal/testing/chaos"
)

// begin begins a disturbance and returns a function that ends it.
func (s *storm) begin(t *testing.T, e event) (end func()) {
	t.Helper()
	nothing := func() {}
	switch e.what {
	case "kill":
		s.send(e.target, syscall.SIGKILL)
	case "terminate":
		s.send(e.target, syscall.SIGTERM)
	case "interrupt":
		s.send(e.target, syscall.SIGINT)
	case "stop":
		return s.stop(e.target)
	case "network":
		fault := chaos.NextFault(rand.New(rand.NewPCG(e.pick, 5)))
		s.note("network: %s for %v", fault.Name, e.length)
		return fault.Begin(s.proxy)
	case "cut off":
		bytes := int(e.pick % 20_000)
		s.note("network: cut off after %d bytes", bytes)
		return s.proxy.Begin(chaos.Limit(bytes))
	case "sessions":
		s.terminateSessions(t, e.pick)
	case "store full":
		return s.fillDisk(t, "store-disk", e.pick)
	case "data full":
		return s.fillDisk(t, "data-disk", e.pick)
	case "unmount":
		return s.unmount(t, s.trees[e.target%sourceCount])
	default:
		s.trees[e.target%sourceCount].change(t, e.what, e.pick)
	}
	return nothing
}

// running returns the process that a slot runs now, or nil.
func (s *storm) running(target int) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current[target%len(s.current)]
}

func (s *storm) send(target int, signal syscall.Signal) {
	if p := s.running(target); p != nil {
		s.note("%v: %s", signal, p)
		p.signalled.Store(true)
		p.signal(signal)
	}
}

func (s *storm) stop(target int) (end func()) {
	p := s.running(target)
	if p == nil {
		return func() {}
	}
	s.note("stop: %s", p)
	p.signal(syscall.SIGSTOP)
	return func() {
		s.note("continue: %s", p)
		p.signal(syscall.SIGCONT)
	}
}

// terminateSessions ends every third session.
func (s *storm) terminateSessions(t *testing.T, pick uint64) {
	t.Helper()
	result, err := s.admin.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid % 3 = $1`, pick%3)
	if err != nil {
		t.Errorf("end sessions: %v", err)
		return
	}
	rows, _ := result.RowsAffected()
	s.note("%d sessions terminated", rows)
}

func mountDisk(t *testing.T, dir string, size int64) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+itoa(size)))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// fillDisk leaves less than 1 MiB of a disk.
func (s *storm) fillDisk(t *testing.T, name string, pick uint64) (end func()) {
	t.Helper()
	ballast := filepath.Join(s.path(name), "ballast")
	file, err := os.Create(ballast)
	if err != nil {
		t.Errorf("fill the disk: %v", err)
		return func() {}
	}

	left, free := int64(pick%(1<<20)), unix.Statfs_t{}
	if err := unix.Fstatfs(int(file.Fd()), &free); err != nil {
		t.Errorf("fill the disk: %v", err)
	}

	if size := int64(free.Bfree)*int64(free.Bsize) - left; size > 0 {
		_ = unix.Fallocate(int(file.Fd()), 0, 0, size) // others may have been faster
	}
	s.note("full: %s but for %d bytes", name, left)

	return func() {
		s.note("not full: %s", name)
		_ = file.Close()
		if err := os.Remove(ballast); err != nil {
			t.Errorf("empty the disk: %v", err)
		}
	}
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	must(t, unix.Mount(from, to, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(to, unix.MNT_DETACH)) })
}

// unmount takes a source away from its readers.
func (s *storm) unmount(t *testing.T, lost *tree) (end func()) {
	t.Helper()
	s.note("unmount %s", lost.mount)
	if err := unix.Unmount(lost.mount, unix.MNT_DETACH); err != nil {
		t.Errorf("unmount %s: %v", lost.mount, err)
	}
	return func() {
		s.note("mount %s", lost.mount)
		if err := unix.Mount(lost.dir, lost.mount, "", unix.MS_BIND, ""); err != nil {
			t.Errorf("mount %s: %v", lost.mount, err)
		}
	}
}
