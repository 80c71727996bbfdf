//go:build linux

package storm_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a source that changes, and remembers everything that it ever was.
type tree struct {
	// dir is where the source is, mount where guppy finds it, spare a directory on the same file system.
	dir, mount, spare string
	seed              uint64
	// versions has the digests of all contents that a path ever had.
	versions map[string]map[[32]byte]bool
	// units has the paths of each file that existed all the time. After every change the file is at one of them.
	units [][]string
	// moving are the present names of the directories that are renamed.
	moving []string
	spares int
}

// The directories of a tree, each with its own fate. Files in loose are written in place, so a reader may find them
// half written. Files in fleeting come and go.
const (
	steady   = "steady"
	replaced = "replaced"
	loose    = "loose"
	fleeting = "fleeting"
	movable  = 2
)

// fileCounts is the number of files in each directory.
var fileCounts = map[string]int{steady: 60, replaced: 16, loose: 8, fleeting: 12}

// pooled is the number of contents that the sources share, each up to three chunks long.
const pooled = 10

func newTree(dir, name string, seed uint64) *tree {
	return &tree{
		dir: filepath.Join(dir, "src", name), mount: filepath.Join(dir, "mnt", name), spare: filepath.Join(dir, "spare"),
		seed: seed, versions: map[string]map[[32]byte]bool{},
	}
}

// content returns bytes drawn from a seed. One content in three is in several sources.
func content(pick uint64, most int) []byte {
	random := rand.New(rand.NewPCG(pick, 2))
	if random.IntN(3) == 0 {
		random = rand.New(rand.NewPCG(random.Uint64N(pooled), 3))
		most = 3 << 20
	}

	data := make([]byte, random.IntN(most+1))
	_, _ = rand.NewChaCha8([32]byte{byte(random.Uint64()), byte(random.Uint64())}).Read(data) // it never fails
	return data
}

// fill makes everything that exists when the storm begins.
func (s *tree) fill(t *testing.T) {
	t.Helper()
	random := rand.New(rand.NewPCG(s.seed, 4))
	add := func(path string, most int) {
		s.units = append(s.units, []string{path})
		s.put(t, path, content(random.Uint64(), most))
	}

	for i := range fileCounts[steady] {
		add(fmt.Sprintf("%s/%d/%d/%03d", steady, i%4, i%3, i), 9000)
	}

	for i := range fileCounts[replaced] {
		add(numbered(replaced, uint64(i)), 200_000)
	}

	for i := range fileCounts[loose] {
		add(numbered(loose, uint64(i)), 100_000)
	}

	for i := range movable {
		s.moving = append(s.moving, fmt.Sprintf("moving-%d", i))
		for k := range 8 {
			add(fmt.Sprintf("%s/deep/%d", s.moving[i], k), 30_000)
		}
	}

	must(t, os.MkdirAll(filepath.Join(s.dir, fleeting), 0o755))
	must(t, os.MkdirAll(filepath.Join(s.dir, steady, "empty"), 0o755))
	must(t, os.Symlink("0/0/000", filepath.Join(s.dir, steady, "link")))
}

func numbered(dir string, n uint64) string {
	return fmt.Sprintf("%s/%02d", dir, n%uint64(fileCounts[dir]))
}

// know remembers a content of a path. It must be called before the change that makes it true.
func (s *tree) know(path string, data []byte) {
	if s.versions[path] == nil {
		s.versions[path] = map[[32]byte]bool{}
	}
	s.versions[path][sha256.Sum256(data)] = true
}

// put gives a path its content in one step, so that no reader finds half of it.
func (s *tree) put(t *testing.T, path string, data []byte) {
	t.Helper()
	s.know(path, data)
	must(t, os.MkdirAll(filepath.Dir(filepath.Join(s.dir, path)), 0o755))
	must(t, os.Rename(s.write(t, data), filepath.Join(s.dir, path)))
}

// write makes a file beside the tree.
func (s *tree) write(t *testing.T, data []byte) string {
	t.Helper()
	s.spares++
	name := fmt.Sprintf("%s/%s-%d", s.spare, filepath.Base(s.dir), s.spares)
	must(t, os.WriteFile(name, data, 0o644))
	return name
}

var changes = []kind{
	{"replace", 8}, {"replace unseen", 2}, {"rewrite", 3}, {"append", 2}, {"truncate", 1}, {"create", 6}, {"remove", 6},
	{"fifo", 2}, {"swap", 2}, {"rename", 5}, {"chmod", 2}, {"touch", 3},
}

// change changes files while others read them.
func (s *tree) change(t *testing.T, what string, pick uint64) {
	t.Helper()
	comes := numbered(fleeting, pick)
	switch what {
	case "replace":
		s.put(t, numbered(replaced, pick), content(pick, 200_000))
	case "replace unseen":
		s.replaceUnseen(t, numbered(replaced, pick), pick)
	case "rewrite", "append", "truncate":
		s.scribble(t, what, numbered(loose, pick), pick)
	case "create":
		s.clear(t, comes)
		s.put(t, comes, content(pick, 300_000))
	case "remove":
		s.clear(t, comes)
	case "fifo":
		s.clear(t, comes)
		must(t, unix.Mkfifo(filepath.Join(s.dir, comes), 0o644))
	case "swap": // a directory where a file was
		s.clear(t, comes)
		s.put(t, comes+"/inside", content(pick, 5000))
	case "rename":
		s.rename(t, int(pick%movable))
	case "chmod":
		must(t, os.Chmod(filepath.Join(s.dir, numbered(replaced, pick)), 0o600+fs.FileMode(pick>>32&0o44)))
	case "touch":
		now := time.Now()
		must(t, os.Chtimes(filepath.Join(s.dir, numbered(replaced, pick)), now, now))
	}
}

func (s *tree) clear(t *testing.T, path string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(s.dir, path)))
}

// replaceUnseen replaces a file with another one of the same size and time.
func (s *tree) replaceUnseen(t *testing.T, path string, pick uint64) {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.dir, path))
	must(t, err)

	data := make([]byte, info.Size())
	_, _ = rand.NewChaCha8([32]byte{byte(pick), byte(pick >> 8)}).Read(data) // it never fails
	s.know(path, data)

	beside := s.write(t, data)
	must(t, os.Chtimes(beside, info.ModTime(), info.ModTime()))
	must(t, os.Rename(beside, filepath.Join(s.dir, path)))
}

// scribble changes a file in place.
func (s *tree) scribble(t *testing.T, what, path string, pick uint64) {
	t.Helper()
	path = filepath.Join(s.dir, path)
	data, err := os.ReadFile(path)
	must(t, err)

	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer func() { must(t, file.Close()) }()

	switch what {
	case "rewrite":
		_, _ = rand.NewChaCha8([32]byte{byte(pick), byte(pick >> 8)}).Read(data) // it never fails
		_, err = file.WriteAt(data, 0)
	case "append":
		_, err = file.WriteAt(content(pick, 20_000), int64(len(data)))
	case "truncate":
		err = file.Truncate(int64(len(data) / 2))
	}
	must(t, err)
}

// rename renames a directory. The files in it exist all the time.
func (s *tree) rename(t *testing.T, number int) {
	t.Helper()
	before := s.moving[number]
	after := fmt.Sprintf("moving-%d", number)
	if !strings.Contains(before, "/") && before == after {
		after = fmt.Sprintf("%s/moved-%d", replaced, number)
	}

	for i, names := range s.units {
		for _, name := range names {
			rest, inside := strings.CutPrefix(name, before+"/")
			if !inside {
				continue
			}

			for digest := range s.versions[name] {
				if s.versions[after+"/"+rest] == nil {
					s.versions[after+"/"+rest] = map[[32]byte]bool{}
				}
				s.versions[after+"/"+rest][digest] = true
			}

			if len(names) == 1 {
				s.units[i] = append(names, after+"/"+rest)
			}
			break
		}
	}

	must(t, os.Rename(filepath.Join(s.dir, before), filepath.Join(s.dir, after)))
	s.moving[number] = after
}

// settle removes what can't be prepared.
func (s *tree) settle(t *testing.T) {
	t.Helper()
	for n := range fileCounts[fleeting] {
		path := numbered(fleeting, uint64(n))
		if info, err := os.Lstat(filepath.Join(s.dir, path)); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
			s.clear(t, path)
		}
	}
}

// explain returns what a directory has that never was in the source, and what it lacks that was there all the time.
func (s *tree) explain(t *testing.T, dir string) (problems []string) {
	t.Helper()
	found := map[string]bool{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		name, err := filepath.Rel(dir, path)
		found[name] = true
		whole := s.versions[name][sha256.Sum256(data)] || strings.HasPrefix(name, loose+"/") && s.versions[name] != nil
		if !whole {
			problem := fmt.Sprintf("%s, of %d bytes, never was so (known: %d contents)", name, len(data), len(s.versions[name]))
			problems = append(problems, problem)
		}
		return err
	}))

	for _, names := range s.units {
		there := false
		for _, name := range names {
			there = there || found[name]
		}
		if !there {
			problems = append(problems, fmt.Sprintf("%s is missing", strings.Join(names, " or ")))
		}
	}
	return problems
}

// differences compares a directory with the present source, including times and modes.
func (s *tree) differences(t *testing.T, dir string) (problems []string) {
	t.Helper()
	want, got := listing(t, s.dir), listing(t, dir)
	for path, line := range want {
		if got[path] != line {
			problems = append(problems, fmt.Sprintf("%s: got %q, want %q", path, got[path], line))
		}
	}

	for path, line := range got {
		if want[path] == "" {
			problems = append(problems, fmt.Sprintf("%s: got %q, want none", path, line))
		}
	}
	return problems
}

func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	lines := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}

		what := ""
		switch {
		case entry.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			what = fmt.Sprintf("%s %d %x", info.Mode(), len(data), sha256.Sum256(data))
		case entry.Type() == fs.ModeSymlink:
			what, err = os.Readlink(path)
		default:
			what = info.Mode().String()
		}

		lines[path[len(dir)+1:]] = fmt.Sprintf("%s %s", what, info.ModTime().UTC().Format(time.RFC3339Nano))
		return err
	}))
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
