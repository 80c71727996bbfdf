//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

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
	var summary report
	if err := json.Unmarshal([]byte(n.run(t, n.prepare...)), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Files != n.count || summary.State != "complete" {
		t.Fatalf("%s with %d files of %d", summary.State, summary.Files, n.count)
	}
	n.run(t, "check")
	return summary.NewBytes
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

// holds waits until a process has a file or directory open.
func (p *process) holds(t *testing.T, path string) {
	t.Helper()
	for {
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Process.Pid))
		for _, link := range open {
			if target, err := os.Readlink(link); err == nil && target == path {
				return
			}
		}

		select {
		case <-p.ended:
			t.Fatalf("it ended before it opened %s: %s", path, &p.stderr)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestMounts takes sources away, with real mounts and the built program.
func TestMounts(t *testing.T) {
	t.Parallel()
	program := build(t)

	t.Run("a source goes away", func(t *testing.T) { sourceGoesAway(t, program) })

	for name, test := range map[string]func(*testing.T, string){
		"a source goes away during its scan":  sourceGoesAwayDuringItsScan,
		"a source is not there":               sourceIsNotThere,
		"a mount below a source is not there": mountBelowIsNotThere,
		"a followed mount is not there":       followedMountIsNotThere,
		"something is mounted over entries":   somethingIsMountedOverEntries,
		"another mount is in place":           anotherMountIsInPlace,
		"mount points have odd names":         mountPointsHaveOddNames,
		"an empty source is refused":          emptySourceIsRefused,
		"a worker sees it at another path":    workerSeesItElsewhere,
		"a source is a file":                  sourceIsAFile,
	} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}

// sourceGoesAway takes the source away in the middle of a run, in every way that a mount can go. With the source
// in its place again, the next run reads no more than the first one has not packed.
func sourceGoesAway(t *testing.T, program string) {
	for name, away := range map[string]func(t *testing.T, n *nas) (back func()){
		"unmounted": func(t *testing.T, n *nas) func() {
			detach(t, n.at)
			return func() { bind(t, n.files, n.at) }
		},
		"moved": func(t *testing.T, n *nas) func() {
			elsewhere := n.at + "-elsewhere"
			if err := errors.Join(os.Mkdir(elsewhere, 0o755), unix.Mount(n.at, elsewhere, "", unix.MS_MOVE, "")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(elsewhere, unix.MNT_DETACH) })
			return func() { bind(t, n.files, n.at) }
		},
		"covered": func(t *testing.T, n *nas) func() {
			bind(t, filepath.Join(t.TempDir(), "empty"), n.at)
			return func() { detach(t, n.at) }
		},
		"replaced by an empty directory": func(t *testing.T, n *nas) func() {
			detach(t, n.at)
			if err := errors.Join(os.Remove(n.at), os.Mkdir(n.at, 0o755)); err != nil {
				t.Fatal(err)
			}
			return func() { bind(t, n.files, n.at) }
		},
		"a directory in it covered": func(t *testing.T, n *nas) func() {
			album := filepath.Join(n.at, "zz-album")
			bind(t, filepath.Join(t.TempDir(), "empty"), album)
			return func() { detach(t, album) }
		},
		"a mount below it unmounted": func(t *testing.T, n *nas) func() {
			detach(t, filepath.Join(n.at, "below"))
			return func() { bind(t, n.files+"-below", filepath.Join(n.at, "below")) }
		},
	} {
		t.Run(name, func(t *testing.T) {
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
		})
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

// sourceGoesAwayDuringItsScan takes the source away as soon as the run has opened it.
func sourceGoesAwayDuringItsScan(t *testing.T, program string) {
	n := newNAS(t, program, 12_000, 1)
	p := n.start(t, n.prepare...)
	p.holds(t, n.at)
	detach(t, n.at)
	n.ends(t, p)
	bind(t, n.files, n.at)
	n.mounted(t)
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
	n.refused(t, regexp.QuoteMeta(n.files)+` .*, and is .*/export/other `, n.prepare...)
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

// somethingIsMountedOverEntries mounts something over entries of the last scan before a run begins. Only an empty
// directory may be covered.
func somethingIsMountedOverEntries(t *testing.T, program string) {
	n := newNAS(t, program, 10, 1000)
	album, empty := filepath.Join(n.at, "album"), filepath.Join(n.at, "empty")
	err := errors.Join(writeRandom(filepath.Join(n.files, "album"), 10, 1001),
		os.Mkdir(filepath.Join(n.files, "empty"), 0o755), writeRandom(n.files+"-more", 7, 1002))
	if err != nil {
		t.Fatal(err)
	}
	n.count += 10
	n.mounted(t)

	bind(t, n.files+"-more", album)
	n.refused(t, "found entries in "+regexp.QuoteMeta(album)+", and .* is mounted over them now", n.prepare...)
	detach(t, album)
	bind(t, filepath.Join(n.files, "album"), album) // the same directory
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}
	detach(t, album)
	n.run(t, append(n.prepare, "--accept-source")...)

	bind(t, n.files+"-more", empty)
	n.count += 7
	n.mounted(t)
}

// mountAt mounts a file system with some files. Nothing but its content identifies the file system.
func mountAt(t *testing.T, at, kind, options string, files int) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}

	if err := unix.Mount(kind, at, kind, 0, options); err != nil {
		t.Fatalf("mount %s at %s: %v", kind, at, err)
	}

	t.Cleanup(func() {
		for unix.Unmount(at, unix.MNT_DETACH) == nil {
			continue
		}
	})

	for i := range files {
		if err := os.WriteFile(filepath.Join(at, fmt.Sprint(files, i)), []byte(fmt.Sprint(files, i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// anotherMountIsInPlace replaces a mount that nothing identifies by another one. The content must reveal that,
// for the source and for mounts below it.
func anotherMountIsInPlace(t *testing.T, program string) {
	n := newNAS(t, program, 3, 1000)
	below := filepath.Join(n.at, "below")
	mountAt(t, below, "tmpfs", "size=1m", 2)

	if err := os.Mkdir(filepath.Join(below, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../nas-followed", filepath.Join(n.files, "link")); err != nil {
		t.Fatal(err)
	}

	mountAt(t, n.at+"-followed", "tmpfs", "size=1m", 5)
	n.prepare = append(n.prepare, "--symlinks", "follow")
	n.count += 2 + 5
	n.mounted(t)

	for at, files := range map[string]int{below: 2, n.at + "-followed": 5} {
		for _, others := range []int{0, 9} {
			detach(t, at)
			mountAt(t, at, "tmpfs", "size=1m", others)
			n.refused(t, "the source is not what it was: nothing identifies tmpfs tmpfs at ", n.prepare...)
		}

		detach(t, at)
		mountAt(t, at, "tmpfs", "size=1m", files) // its files have other times
		n.run(t, append(n.prepare, "--accept-source")...)
	}

	if err := os.MkdirAll(filepath.Join(below, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	mountAt(t, filepath.Join(below, "deep"), "tmpfs", "size=1m", 1)
	n.count++
	n.mounted(t)

	mountAt(t, filepath.Join(below, "deep"), "tmpfs", "size=1m", 0)
	n.refused(t, "the source is not what it was", n.prepare...)
	detach(t, filepath.Join(below, "deep"))
	n.mounted(t)

	one, other := t.TempDir(), t.TempDir()
	if err := errors.Join(writeRandom(one, 3, 10), writeRandom(other, 4, 10)); err != nil {
		t.Fatal(err)
	}

	merged := n.at + "-merged"
	options := "lowerdir=" + one + ":" + filepath.Join(n.files, "0")
	mountAt(t, merged, "overlay", options, 0)
	n.run(t, "prepare", merged)
	n.run(t, "prepare", merged)

	detach(t, merged)
	mountAt(t, merged, "overlay", options, 0)
	n.run(t, "prepare", merged)

	detach(t, merged)
	mountAt(t, merged, "overlay", "lowerdir="+other+":"+t.TempDir(), 0)
	n.refused(t, "the source is not what it was: nothing identifies overlay", "prepare", merged)
}

// mountPointsHaveOddNames uses mount points whose names are not text or contain white space.
func mountPointsHaveOddNames(t *testing.T, program string) {
	n := newNAS(t, program, 3, 1000)
	for i, name := range []string{"a\u00a0b", "c\rd", "e\xfe", "e\xff", "f \n\t\\040g"} {
		mountAt(t, filepath.Join(n.at, name), "tmpfs", "size=1m", i+1)
		n.count += int64(i + 1)
	}

	for _, name := range []string{"m\xfe", "m\xff"} {
		if err := os.Symlink("../nas-"+name, filepath.Join(n.files, name)); err != nil {
			t.Fatal(err)
		}
		mountAt(t, n.at+"-"+name, "tmpfs", "size=1m", 3)
		n.count += 3
	}

	n.prepare = append(n.prepare, "--symlinks", "follow")
	n.mounted(t)
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}

	detach(t, filepath.Join(n.at, "e\xff"))
	n.refused(t, "was a mount of tmpfs tmpfs at the last scan, but nothing is mounted there now", n.prepare...)
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

// workerSeesItElsewhere lets a worker finish the work of a run while the source is mounted at another path.
func workerSeesItElsewhere(t *testing.T, program string) {
	n := newNAS(t, program, 40, 300_000)
	if err := writeRandom(n.files+"-below", 10, 1001); err != nil {
		t.Fatal(err)
	}

	bind(t, n.files+"-below", filepath.Join(n.at, "below"))
	n.count += 10

	p := n.begun(t, 3)
	p.interrupt(t, unix.SIGINT)
	detach(t, n.at)

	elsewhere := n.at + "-elsewhere"
	bind(t, filepath.Join(filepath.Dir(n.files), "other"), elsewhere)
	mapped := []string{"worker", "--exit-when-idle", "--source-path", "nas=" + elsewhere}
	n.refused(t, "source not found", mapped...)

	detach(t, elsewhere)
	bind(t, n.files, elsewhere)
	n.refused(t, "nothing is in "+regexp.QuoteMeta(elsewhere)+"/below, but at .* it is ", mapped...)
	bind(t, n.files+"-below", filepath.Join(elsewhere, "below"))
	n.run(t, mapped...)

	bind(t, n.files, n.at)
	bind(t, n.files+"-below", filepath.Join(n.at, "below"))
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}
}

// sourceIsAFile prepares a file that is mounted by itself, as into a container.
func sourceIsAFile(t *testing.T, program string) {
	n := newNAS(t, program, 1, 1000)
	file, at := filepath.Join(n.files, "0", "000"), n.at+".file"
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	mount := func() {
		if err := unix.Mount(file, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}

	mount()
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	n.prepare = []string{"prepare", at, "--json"}
	n.mounted(t)

	detach(t, at)
	n.refused(t, "nothing is mounted at", n.prepare...)
	mount()
	if read := n.mounted(t); read != 0 {
		t.Errorf("%d bytes are read again", read)
	}
}

// followedMountIsNotThere begins and resumes runs without a mount to which a symlink of the source leads.
func followedMountIsNotThere(t *testing.T, program string) {
	n := newNAS(t, program, 10, 1000)
	target := n.at + "-music"
	away := "the symlink " + regexp.QuoteMeta(filepath.Join(n.at, "music")) + " led to .* at the last scan, but leads to "

	err := errors.Join(writeRandom(n.files+"-music", 30, 300_001),
		os.Symlink("../nas-music", filepath.Join(n.files, "music")))
	if err != nil {
		t.Fatal(err)
	}

	bind(t, n.files+"-music", target)
	n.prepare = append(n.prepare, "--symlinks", "follow")
	n.count += 30

	p := n.begun(t, 3)
	detach(t, target)
	n.ends(t, p)
	n.refused(t, away, n.prepare...)
	n.refused(t, away, append(n.prepare, "--dry-run")...)

	bind(t, n.files+"-music", target)
	n.mounted(t)
	detach(t, target)
	n.refused(t, away, n.prepare...)
	n.count -= 30
	n.run(t, append(n.prepare, "--accept-source")...)
	n.mounted(t)
}

// TestAFullStore requires that a run says which file system is full, how much is free there, and how much is yet
// to be packed. With more room, the next run goes on.
func TestAFullStore(t *testing.T) {
	t.Parallel()
	program, source := build(t), t.TempDir()
	if err := writeRandom(source, 8, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			i, shards := install(t, program, e), t.TempDir()
			if err := unix.Mount("tmpfs", shards, "tmpfs", 0, "size=5m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(shards, unix.MNT_DETACH) })
			prepare := []string{"prepare", source, "--store", shards, "--shard-size", "2MiB", "--workers", "1"}

			p := i.start(t, prepare...)
			code := p.exit(t)
			want := regexp.MustCompile(`no space left on device; ([0-9]+) bytes of the source still have to be packed
guppy: the file system of .* has [0-9]+ bytes free`)
			match := want.FindStringSubmatch(p.stderr.String())
			if code != exitFailure || match == nil {
				t.Fatalf("exit code %d: %s", code, &p.stderr)
			}
			if left, err := strconv.Atoi(match[1]); err != nil || left <= 0 || left >= 8<<20 {
				t.Errorf("%s bytes are left", match[1])
			}

			if err := unix.Mount("tmpfs", shards, "tmpfs", unix.MS_REMOUNT, "size=50m"); err != nil {
				t.Fatal(err)
			}
			i.run(t, prepare...)
			i.run(t, "check", "--read-data", "--store", shards)
		})
	}
}
