//go:build long && linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMountsOfAllKinds takes sources and what is mounted below them away, in every way that a mount can go, and puts
// others in their place.
func TestMountsOfAllKinds(t *testing.T) {
	t.Parallel()
	program := build(t)

	for name, away := range departures() {
		t.Run("a source goes away: "+name, func(t *testing.T) { sourceGoesAway(t, program, away) })
	}

	for name, test := range map[string]func(*testing.T, string){
		"a source goes away during its scan": sourceGoesAwayDuringItsScan,
		"a followed mount is not there":      followedMountIsNotThere,
		"something is mounted over entries":  somethingIsMountedOverEntries,
		"another mount is in place":          anotherMountIsInPlace,
		"mount points have odd names":        mountPointsHaveOddNames,
		"a worker sees it at another path":   workerSeesItElsewhere,
		"a source is a file":                 sourceIsAFile,
	} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}

// departures returns the ways in which a mount can go, except for those of TestMounts.
func departures() map[string]departure {
	return map[string]departure{
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
	}
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
	n.refused(t, "found entries in "+regexp.QuoteMeta(album)+", but .* is mounted over them now", n.prepare...)
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
