//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// bind mounts one directory at another, like the mount of a NAS. It needs root.
func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(from, 0o755), os.MkdirAll(to, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("mount %s at %s: %v", from, to, err)
	}
	t.Cleanup(func() {
		for unix.Unmount(to, unix.MNT_DETACH) == nil { // there may be several
			continue
		}
	})
}

// detach does what umount -l does.
func detach(t *testing.T, at string) {
	t.Helper()
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
		t.Fatalf("umount -l %s: %v", at, err)
	}
}

// nas is a directory of files, the place where it is mounted, and the outcome of preparing it undisturbed.
type nas struct {
	*installation
	files, at string
	count     int64
	prepare   []string
}

func newNAS(t *testing.T, program string, count, size int) *nas {
	t.Helper()
	dir := t.TempDir()
	n := &nas{
		installation: install(t, program, engines()[0]), files: filepath.Join(dir, "export", "photos"),
		at: filepath.Join(dir, "nas"), count: int64(count),
	}
	if err := writeRandom(n.files, count, size); err != nil {
		t.Fatal(err)
	}
	n.prepare = []string{"prepare", n.at, "--shard-size", "1MiB", "--workers", "1", "--read-ahead", "1", "--json"}
	bind(t, n.files, n.at)
	return n
}

// mounted runs the preparation with the source mounted. All files must be under the root. It returns the number
// of bytes read.
func (n *nas) mounted(t *testing.T) (read int64) {
	t.Helper()
	summary := report{uploadView: uploadView{contentCounts: &contentCounts{}}}
	if err := json.Unmarshal([]byte(n.run(t, n.prepare...)), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Files != n.count || summary.State != "complete" {
		t.Fatalf("%s with %d files of %d", summary.State, summary.Files, n.count)
	}
	n.run(t, "check")
	return summary.ReadBytes
}

// refused runs a command that must end with exit code 1, say why, and change nothing.
func (n *nas) refused(t *testing.T, why string, args ...string) {
	t.Helper()
	before := n.run(t, "dump")
	p := n.start(t, args...)
	if code := p.exit(t); code != exitFailure || !regexp.MustCompile(why).Match(p.stderr.Bytes()) {
		t.Errorf("guppy %s: exit code %d, want 1 and %q:\n%s", args, code, why, &p.stderr)
	}
	if n.run(t, "dump") != before {
		t.Errorf("guppy %s changed what there is", args)
	}
}

// ends waits for a run during which the source went away. The run must either have all files, or fail and say so.
func (n *nas) ends(t *testing.T, p *process) {
	t.Helper()

	switch code := p.exit(t); code {
	case exitComplete:
		if uploads := n.uploads(t); uploads[len(uploads)-1].Files != n.count {
			t.Errorf("complete with %d files of %d", uploads[len(uploads)-1].Files, n.count)
		}
	case exitFailure:
		if !regexp.MustCompile(`the source is (gone|not what it was)`).Match(p.stderr.Bytes()) {
			t.Errorf("it does not say why it failed: %s", &p.stderr)
		}
	default:
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
}

// begun starts a preparation and returns when the store has some shards.
func (n *nas) begun(t *testing.T, shards int) *process {
	t.Helper()
	p := n.start(t, n.prepare...)
	if !n.running(p, shards) {
		t.Fatalf("it was over too early: %s", &p.stderr)
	}
	return p
}

// TestMounts takes a source away during a run, before a run, in part and with its content, with real mounts and the
// built program.
func TestMounts(t *testing.T) {
	t.Parallel()
	program := build(t)

	for name, test := range map[string]func(*testing.T, string){
		"a source goes away":                  func(t *testing.T, program string) { sourceGoesAway(t, program, unmounted) },
		"a source is not there":               sourceIsNotThere,
		"a mount below a source is not there": mountBelowIsNotThere,
		"an empty source is refused":          emptySourceIsRefused,
		"a store goes away":                   storeGoesAway,
	} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}

// departure takes the source away. It returns a function that brings the source back.
type departure func(t *testing.T, n *nas) (back func())

func unmounted(t *testing.T, n *nas) (back func()) {
	detach(t, n.at)
	return func() { bind(t, n.files, n.at) }
}

// sourceGoesAway takes the source away in the middle of a run. With the source in its place again, the next run reads
// only what the first one has not packed.
func sourceGoesAway(t *testing.T, program string, away departure) {
	n := newNAS(t, program, 60, 300_000)
	album := filepath.Join(n.files, "zz-album")
	err := errors.Join(writeRandom(n.files+"-below", 30, 300_001), writeRandom(album, 9, 300_002))
	if err != nil {
		t.Fatal(err)
	}

	n.count += 30 + 9
	bind(t, n.files+"-below", filepath.Join(n.at, "below"))

	undisturbed := install(t, program, engines()[0])
	undisturbed.run(t, n.prepare...)
	want := undisturbed.outcome(t)

	p := n.begun(t, 3)
	back := away(t, n)
	n.ends(t, p)
	back()
	n.below(t)
	n.mounted(t)
	if got := n.outcome(t); got.root != want.root || !slices.Equal(got.shards, want.shards) {
		t.Errorf("root %s and shards %q, want %s and %q", got.root, got.shards, want.root, want.shards)
	}
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}
}

// below restores the mounts below a detached mount.
func (n *nas) below(t *testing.T) {
	t.Helper()
	at := filepath.Join(n.at, "below")
	if held, err := os.ReadDir(at); err != nil || len(held) > 0 {
		return
	}
	bind(t, n.files+"-below", at)
}

// sourceIsNotThere begins runs without the source. Every command refuses to change anything until the source is
// back or is accepted as it is.
func sourceIsNotThere(t *testing.T, program string) {
	n := newNAS(t, program, 40, 300_000)
	p := n.begun(t, 3)
	p.interrupt(t, unix.SIGINT)

	// Without the mount, nothing may change.
	detach(t, n.at)
	nothing := regexp.QuoteMeta("nothing is mounted at " + n.at)
	n.refused(t, nothing, n.prepare...)
	n.refused(t, nothing, "upload", "default")
	n.refused(t, nothing, "worker", "--exit-when-idle")

	bind(t, n.files, n.at)
	if read := n.mounted(t); read >= 40*300_000 {
		t.Errorf("all is read again: %d bytes", read)
	}

	detach(t, n.at)
	n.refused(t, nothing, n.prepare...)
	bind(t, filepath.Join(filepath.Dir(n.files), "other"), n.at)
	n.refused(t, regexp.QuoteMeta(n.files)+` .*, but is .*/export/other `, n.prepare...)
	detach(t, n.at)

	// The same directory may be reached through another mount.
	export := n.at + "-export"
	bind(t, filepath.Dir(n.files), export)
	bind(t, filepath.Join(export, "photos"), n.at)
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}
	detach(t, n.at)
	n.accepted(t)
}

// accepted accepts the source as it is without its mount.
func (n *nas) accepted(t *testing.T) {
	t.Helper()
	n.run(t, append(n.prepare, "--accept-source")...)
	n.run(t, n.prepare...)

	var shown sourceDetails
	if err := json.Unmarshal([]byte(n.run(t, "source", "show", "default", "nas", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Seen) != 1 || shown.Seen[0].Path != n.at || !shown.Seen[0].Empty {
		t.Errorf("remembered is %+v", shown.Seen)
	}

	bind(t, n.files, n.at)
	n.refused(t, "the source is not what it was", n.prepare...)
	n.run(t, append(n.prepare, "--accept-source")...)
	n.mounted(t)
}

// mountBelowIsNotThere begins a run without a mount below the source. The run fails unless the mount is excluded.
func mountBelowIsNotThere(t *testing.T, program string) {
	n := newNAS(t, program, 10, 1000)
	below := filepath.Join(n.at, "below")
	if err := writeRandom(n.files+"-below", 10, 1001); err != nil {
		t.Fatal(err)
	}

	bind(t, n.files+"-below", below)
	n.count += 10
	n.mounted(t)

	detach(t, below)
	n.refused(t, regexp.QuoteMeta(below)+" was a mount of .*, but nothing is mounted there now", n.prepare...)
	bind(t, n.files+"-below", below)
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}

	detach(t, below)
	n.count -= 10
	n.run(t, append(n.prepare, "--exclude", "below/")...)
	n.mounted(t)

	detach(t, n.at)
	if err := os.Remove(n.at); err != nil {
		t.Fatal(err)
	}
	n.refused(t, "nothing is at "+regexp.QuoteMeta(n.at), n.prepare...)
}

// emptySourceIsRefused refuses an empty source if the last scan had entries, even in the same directory. A new
// source may be empty.
func emptySourceIsRefused(t *testing.T, program string) {
	n := newNAS(t, program, 3, 1000)
	n.mounted(t)

	entries, err := os.ReadDir(n.at)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(n.at, entry.Name())))
	}
	if err != nil {
		t.Fatal(err)
	}

	n.refused(t, "is empty, but the last scan found 6 entries there", n.prepare...)
	n.run(t, append(n.prepare, "--accept-source")...)
	n.run(t, n.prepare...)

	empty := n.start(t, "prepare", t.TempDir())
	if code := empty.exit(t); code != exitComplete || !regexp.MustCompile("is it mounted").Match(empty.stderr.Bytes()) {
		t.Errorf("exit code %d: %s", code, &empty.stderr)
	}
}

// storeGoesAway unmounts the store in the middle of a run. Nothing is put into the mount point, then or by the next
// run. With the store in its place again the run goes on.
func storeGoesAway(t *testing.T, program string) {
	n := newNAS(t, program, 60, 300_000)
	shards, at := n.files+"-shards", n.store()
	bind(t, shards, at)
	empty := func() {
		t.Helper()
		if entries, err := os.ReadDir(at); err != nil || len(entries) > 0 {
			t.Errorf("%q are in the mount point: %v", entries, err)
		}
	}

	p := n.begun(t, 3)
	detach(t, at)
	code := p.exit(t)
	said := regexp.MustCompile("store not found").Match(p.stderr.Bytes())
	if code != exitComplete && (code != exitFailure || !said) {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	empty()

	n.refused(t, "has no marker file .guppy-store of store .* is it mounted", n.prepare...)
	empty()

	bind(t, shards, at)
	n.run(t, n.prepare...)
	n.run(t, "check", "--read-data")
	if got := n.uploads(t); len(got) != 1 || got[0].Files != n.count {
		t.Errorf("%+v", got)
	}
}

// TestAFullStore requires that a run says which file system is full, how much is free there, and how much is yet
// to be packed. With more room, the next run goes on.
func TestAFullStore(t *testing.T) {
	t.Parallel()
	program, source := build(t), t.TempDir()
	if err := writeRandom(source, 8, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, e := range eachLong() {
		t.Run(e.name, func(t *testing.T) {
			i, shards := install(t, program, e), t.TempDir()
			if err := unix.Mount("tmpfs", shards, "tmpfs", 0, "size=5m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(shards, unix.MNT_DETACH) })
			prepare := []string{"prepare", source, "--store", shards, "--shard-size", "2MiB", "--workers", "1"}

			p := i.start(t, prepare...)
			code := p.exit(t)
			want := regexp.MustCompile(`no space left on device; ([0-9.]+) MiB of the source still have to be packed
guppy: the file system of .* had no room: ([0-9.]+) K?i?B were free; without what did not fit, it has [0-9.]+ [KM]iB`)
			match := want.FindStringSubmatch(p.stderr.String())
			if code != exitFailure || match == nil {
				t.Fatalf("exit code %d: %s", code, &p.stderr)
			}
			if left, err := strconv.ParseFloat(match[1], 64); err != nil || left <= 0 || left >= 8 {
				t.Errorf("%s MiB are left", match[1])
			}

			// All of that is kept, but for the name of the file that did not fit.
			kept := regexp.MustCompile(`stopped at .*: .*no space left on device; [0-9.]+ MiB of the source still have to be ` +
				`packed; the file system of ` + shards + `(/[a-z.-]+)? had no room: [0-9.]+ (B|KiB) were free`)
			if status := i.run(t, "status"); !kept.MatchString(status) {
				t.Errorf("it keeps %s", status)
			}

			if err := unix.Mount("tmpfs", shards, "tmpfs", unix.MS_REMOUNT, "size=50m"); err != nil {
				t.Fatal(err)
			}
			i.run(t, prepare...)
			i.run(t, "check", "--read-data", "--store", shards)
		})
	}
}
