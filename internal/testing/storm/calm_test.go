//go:build linux

package storm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/formats/car"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// upload is what guppy reports of an upload.
type upload struct {
	Upload int64  `json:"upload"`
	Source string `json:"source"`
	State  string `json:"state"`
	Root   string `json:"root_cid"`
}

// calm finishes everything that is unfinished, and checks what is there.
func (s *storm) calm(t *testing.T) {
	t.Helper()
	s.note("calm")

	latest := map[string]int64{}
	for i, tree := range s.trees {
		tree.settle(t)
		var c claim
		must(t, json.Unmarshal([]byte(s.run(t, "prepare", tree.mount, "--json")), &c))
		c.by = "the last prepare"
		s.claims, latest[fmt.Sprintf("source-%d", i)] = append(s.claims, c), c.Upload
	}

	s.run(t, "gc", "--yes")
	s.requireNothingLeft(t)
	s.run(t, "gc", "--strays", "--yes")
	s.run(t, "check", "--read-data")
	s.requireReplica(t)

	s.requireStoredOnce(t)
	s.requireTrue(t, latest)
	s.requireCopies(t)
	s.requireRemovable(t)
}

func (s *storm) uploads(t *testing.T) map[int64]upload {
	t.Helper()
	var list struct{ Uploads []upload }
	must(t, json.Unmarshal([]byte(s.run(t, "upload", "ls", "--all", "--json")), &list))
	uploads := map[int64]upload{}
	for _, u := range list.Uploads {
		uploads[u.Upload] = u
	}
	return uploads
}

// requireTrue checks each claim, and all uploads that are complete.
func (s *storm) requireTrue(t *testing.T, latest map[string]int64) {
	t.Helper()
	uploads := s.uploads(t)
	for _, c := range s.claims {
		u := uploads[c.Upload]
		if gone := s.removed[c.Upload] && u.State != "complete"; !gone && (u.State != "complete" || u.Root != c.Root) {
			t.Errorf("%s claimed %+v, but it is %+v", c.by, c, u)
		}
	}

	for _, u := range uploads {
		if slices.Contains(s.gone, itoa(u.Upload)) && u.State != "removed" {
			t.Errorf("upload %d was said to be removed, but is %s", u.Upload, u.State)
		}
		if u.State != "complete" {
			s.note("upload %d is %s", u.Upload, u.State)
			continue
		}

		s.run(t, "verify", "--deep", u.Root)
		out := s.path(fmt.Sprintf("out/upload-%d", u.Upload))
		s.run(t, "retrieve", u.Root, out)
		s.compare(t, u, out, latest[u.Source] == u.Upload)
	}

	for source, id := range latest {
		if uploads[id].State != "complete" {
			t.Errorf("the latest upload of %s is %+v", source, uploads[id])
		}
	}
}

// compare compares an upload with its source.
func (s *storm) compare(t *testing.T, u upload, out string, latest bool) {
	t.Helper()
	for i, tree := range s.trees {
		if u.Source != fmt.Sprintf("source-%d", i) {
			continue
		}
		var problems []string
		switch {
		case latest:
			problems = tree.differences(t, out)
		case s.plan.cold || u.Upload > sourceCount: // before that the sources were almost empty
			problems = tree.explain(t, out)
		}

		if len(problems) > 0 {
			t.Errorf("upload %d of %s, latest %t: %d problems, such as %q", u.Upload, u.Source, latest,
				len(problems), problems[:min(8, len(problems))])
		}
	}
	must(t, os.RemoveAll(out))
}

// requireStoredOnce counts the blocks in the shards themselves.
func (s *storm) requireStoredOnce(t *testing.T) {
	t.Helper()
	first := map[string]string{}
	for _, path := range s.glob(t, "*.car") {
		file, err := os.Open(path)
		must(t, err)

		reader := car.NewReader(file)
		for {
			section, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}

			name := section.CID.String()
			if first[name] != "" {
				t.Errorf("block %s is stored twice: in %s and %s", name, first[name], filepath.Base(path))
			}
			first[name] = filepath.Base(path)
		}
		must(t, file.Close())
	}

	if len(first) < 50 {
		t.Errorf("only %d blocks", len(first))
	}
}

func (s *storm) glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.path("store-disk/store"), pattern))
	must(t, err)
	return found
}

// usual are the files that guppy has when nobody is at work.
var usual = regexp.MustCompile(`^(store-disk/store/(\.guppy-store|[a-z2-7]+\.(car|idx))|` +
	`data-disk/data/(guppy\.db(\.lock|\.migrate\.lock)?|keys/did_key_\w+\.pem))$`)

// anyKilled reports whether a command was killed, and so had no time to take back what it had done.
func (s *storm) anyKilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for command := range s.ended {
		if strings.HasSuffix(command, " -1") {
			return true
		}
	}
	return false
}

// requireNothingLeft checks that no files, leases or processes are left over.
func (s *storm) requireNothingLeft(t *testing.T) {
	t.Helper()
	type files struct {
		Files int64 `json:"file_count"`
	}
	var gc struct {
		Temporary int64 `json:"temporary_file_count"`
		Stray     files
		Damaged   files
		Removals  []struct {
			files
			Entries int64 `json:"entry_count"`
			Shards  int64 `json:"shard_count"`
			Blocks  int64 `json:"block_count"`
		}
	}
	must(t, json.Unmarshal([]byte(s.run(t, "gc", "--strays", "--json")), &gc))

	left := gc.Temporary + gc.Damaged.Files
	if !s.anyKilled() { // otherwise there may be a file whose row was about to follow
		left += gc.Stray.Files
	}
	for _, s := range gc.Removals {
		left += s.Entries + s.Shards + s.Blocks + s.Files
	}

	if left != 0 {
		t.Errorf("gc has left %+v", gc)
	}

	for _, disk := range []string{"store-disk", "data-disk", "tmp"} {
		must(t, filepath.WalkDir(s.path(disk), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !usual.MatchString(path[len(s.dir)+1:]) {
				t.Errorf("%s is left over", path)
			}
			return err
		}))
	}

	var status struct {
		Uploads []struct {
			Workers  []any
			SetAside []any `json:"set_aside"`
		}
	}

	must(t, json.Unmarshal([]byte(s.run(t, "status", "--json")), &status))
	if len(status.Uploads) > 0 {
		t.Errorf("unfinished: %+v", status)
	}

	s.requireNoLeases(t)
	s.requireNoProcesses(t)
}

// requireNoProcesses checks that no process runs the program.
func (s *storm) requireNoProcesses(t *testing.T) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	for _, link := range links {
		if program, _ := os.Readlink(link); program == s.program {
			t.Errorf("%s still runs guppy", filepath.Dir(link))
		}
	}
}

// copies are the files that backups, restores and transfers have made.
var copies = regexp.MustCompile(`^(backup|restored|transfer-.*)\.db(\.lock|\.migrate\.lock|-wal|-shm)?$`)

// requireCopies checks that a backup has what the repository has.
func (s *storm) requireCopies(t *testing.T) {
	t.Helper()
	s.run(t, "backup", s.path("out/backup.db"), "--force")
	restored := s.path("out/restored.db")
	s.run(t, "restore", s.path("out/backup.db"), "--database-url", restored)
	if got, want := s.run(t, "dump", "--database-url", restored), s.run(t, "dump"); got != want {
		t.Errorf("the backup has %d bytes of rows, the repository %d, or others", len(got), len(want))
	}

	left, err := os.ReadDir(s.path("out"))
	must(t, err)
	for _, entry := range left {
		if !copies.MatchString(entry.Name()) {
			t.Errorf("%s is left over", entry.Name())
		}
	}
}

// requireReplica checks that the replica has what the store has, and nothing else.
func (s *storm) requireReplica(t *testing.T) {
	t.Helper()
	if !s.plan.replicated {
		return
	}
	store, replica := s.path("store-disk/store"), s.path("replica")
	output, err := exec.Command("diff", "-r", "-x", ".guppy-store", store, replica).CombinedOutput()
	if err != nil {
		t.Errorf("the replica differs: %v\n%s", err, output)
	}
}

// requireRemovable removes everything. Nothing may be left that no removal finds.
func (s *storm) requireRemovable(t *testing.T) {
	t.Helper()
	remove := []string{"upload", "rm", "--yes"}
	for id, u := range s.uploads(t) {
		if u.State != "removed" {
			remove = append(remove, itoa(id))
		}
	}

	s.run(t, remove...)
	s.run(t, "gc", "--yes")
	if left := append(s.glob(t, "*.car"), s.glob(t, "*.idx")...); len(left) > 0 || len(s.uploads(t)) > 0 {
		t.Errorf("after all uploads were removed there are %d files, and the uploads %v", len(left), s.uploads(t))
	}
	s.requireReplica(t)
}
