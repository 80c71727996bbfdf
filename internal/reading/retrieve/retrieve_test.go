package retrieve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// to retrieves a tree that was made by hand.
func to(t *testing.T, from tree.Blocks, root tree.Link, out string,
	change ...func(*retrieve.Retriever)) (retrieve.Summary, error) {
	t.Helper()
	r := retrieve.Retriever{Blocks: from, Workers: 3, Progress: progress.NewTask("", "")}
	for _, change := range change {
		change(&r)
	}
	found, err := tree.Resolve(t.Context(), from, tree.Path{Root: root.CID})
	if err != nil {
		return retrieve.Summary{}, err
	}
	sum, err := r.To(t.Context(), found, out)
	if state := r.Progress.State(); err == nil &&
		(state.Items != sum.Files+sum.Failed || sum.Failed == 0 && state.Bytes != sum.Bytes || len(state.Parts) > 0) {
		t.Errorf("progress of %+v: %+v", sum, state)
	}
	return sum, err
}

func overwrite(r *retrieve.Retriever) { r.Overwrite = true }

// files returns the entries of a directory, each with its content or target.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	ok(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}

		name := strings.TrimPrefix(path, root+"/")

		switch {
		case entry.IsDir():
			found[name+"/"] = ""
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[name] = "-> " + target
			return err
		default:
			content, err := os.ReadFile(path)
			found[name] = string(content)
			return err
		}
		return nil
	}))
	return found
}

func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, content := range want {
		if there, ok := got[name]; !ok || there != content {
			t.Errorf("%s: %q is %.40q (%t), want %.40q", what, name, there, ok, content)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q is there", what, name)
		}
	}
}

func sample(s *treetest.Store) (tree.Link, map[string]string) {
	big := []string{strings.Repeat("a", 3<<20), strings.Repeat("\x00", 1<<20), strings.Repeat("b", 1<<20)}
	return s.Directory("",
			s.Directory("d", s.Directory("empty"), s.Raw("f", "in d"), s.Symlink("l", "/etc/passwd")),
			s.File("big", big...), s.Raw("none", ""), s.File("several", "1", "22", "333"), s.Raw("small\xff\n", "x")),
		map[string]string{
			"d/": "", "d/empty/": "", "d/f": "in d", "d/l": "-> /etc/passwd", "big": strings.Join(big, ""), "none": "",
			"several": "122333", "small\xff\n": "x",
		}
}

func TestTreesAreWritten(t *testing.T) {
	s := treetest.New()
	root, want := sample(s)
	out := filepath.Join(t.TempDir(), "out")
	sum := must(to(t, s, root, out))(t)
	same(t, "tree", files(t, out), want)
	if sum.Files != 5 || sum.Directories != 3 || sum.Symlinks != 1 || sum.Kept != 0 || sum.Bytes != 5<<20+4+6+1 {
		t.Errorf("%+v", sum)
	}

	clear(s.Fetched)
	sum = must(to(t, s, root, out))(t)
	same(t, "again", files(t, out), want)
	if sum.Kept != sum.Bytes {
		t.Errorf("again: %+v", sum)
	}

	for c := range s.Fetched {
		if c.Type() == cid.Raw {
			t.Errorf("%s was read again", c)
		}
	}
}

func TestWhereAFileGoes(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Raw("f", "small"), s.File("g", "a", "b"), s.Symlink("l", "f"))
	dir := t.TempDir()

	at := func(out string, names ...string) error {
		found := must(tree.Resolve(t.Context(), s, tree.Path{Root: root.CID, Names: names}))(t)
		r := retrieve.Retriever{Blocks: s, Workers: 1}
		_, err := r.To(t.Context(), found, filepath.Join(dir, out))
		return err
	}

	ok(t, os.Mkdir(filepath.Join(dir, "in"), 0o755))
	ok(t, errors.Join(at("new", "f"), at("other", "g"), at("in", "f"), at("in", "l"),
		at("link", "l"), at("all"), at("in/.")))
	same(t, "files", files(t, dir), map[string]string{
		"new": "small", "other": "ab", "in/": "", "in/f": "small", "in/l": "-> f", "in/g": "ab", "link": "-> f",
		"all/": "", "all/f": "small", "all/g": "ab", "all/l": "-> f",
	})

	if err := at("new"); !errors.Is(err, retrieve.ErrDiffers) {
		t.Errorf("a directory over a file: %v", err)
	}
	if err := at("missing/x", "f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no directory: %v", err)
	}
	if _, err := to(t, s, s.Raw("", "x"), dir); err == nil {
		t.Error("a file without a name was written into a directory")
	}
}

// TestWhatIsThereIsNotReplaced requires that files are only replaced on request, and directories never.
func TestWhatIsThereIsNotReplaced(t *testing.T) {
	s := treetest.New()
	root, want := sample(s)
	for name, prepare := range map[string]func(out string) error{
		"small":     func(out string) error { return os.WriteFile(out+"/none", []byte("other"), 0o600) },
		"same size": func(out string) error { return os.WriteFile(out+"/small\xff\n", []byte("y"), 0o600) },
		"large":     func(out string) error { return os.WriteFile(out+"/big", bytes.Repeat([]byte("a"), 5<<20), 0o600) },
		"shorter":   func(out string) error { return os.WriteFile(out+"/several", []byte("12"), 0o600) },
		"symlink for a file": func(out string) error {
			return errors.Join(os.WriteFile(out+"/x", []byte("122333"), 0o600), os.Symlink("x", out+"/several"))
		},
		"file for a symlink": func(out string) error {
			return errors.Join(os.Mkdir(out+"/d", 0o700), os.WriteFile(out+"/d/l", nil, 0o600))
		},
		"other symlink": func(out string) error {
			return errors.Join(os.Mkdir(out+"/d", 0o700), os.Symlink("x", out+"/d/l"))
		},
		"file for a directory":    func(out string) error { return os.WriteFile(out+"/d", nil, 0o600) },
		"symlink for a directory": func(out string) error { return os.Symlink(".", out+"/d") },
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			ok(t, prepare(out))
			if _, err := to(t, s, root, out); !errors.Is(err, retrieve.ErrDiffers) {
				t.Errorf("%v", err)
			}

			must(to(t, s, root, out, overwrite))(t)
			got := files(t, out)
			delete(got, "x")
			same(t, "replaced", got, want)
		})
	}

	for _, name := range []string{"big", "none", "d/l", "d/f"} {
		out := t.TempDir()
		ok(t, os.MkdirAll(filepath.Join(out, name), 0o755))
		if _, err := to(t, s, root, out, overwrite); !errors.Is(err, retrieve.ErrDiffers) {
			t.Errorf("the directory %s was replaced: %v", name, err)
		}
	}
}

// outside makes a directory that nothing may be written to, beside one to retrieve into.
func outside(t *testing.T) (out, secret string, untouched func()) {
	t.Helper()
	dir := t.TempDir()
	out, secret = filepath.Join(dir, "out"), filepath.Join(dir, "secret")
	ok(t, errors.Join(os.Mkdir(out, 0o755), os.Mkdir(secret, 0o755)))
	ok(t, os.WriteFile(filepath.Join(secret, "f"), []byte("secret"), 0o600))
	return out, secret, func() {
		t.Helper()
		same(t, "outside", files(t, secret), map[string]string{"f": "secret"})
	}
}

// TestNothingIsWrittenOutside puts links of all kinds where a tree is written.
func TestNothingIsWrittenOutside(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Directory("d", s.Raw("f", "new")), s.Raw("f", "new"), s.File("g", "a", "b"))
	for name, prepare := range map[string]func(out, secret string) error{
		"directory":          func(out, secret string) error { return os.Symlink(secret, out+"/d") },
		"relative":           func(out, _ string) error { return os.Symlink("../secret", out+"/d") },
		"file":               func(out, secret string) error { return os.Symlink(secret+"/f", out+"/f") },
		"large file":         func(out, secret string) error { return os.Symlink(secret+"/f", out+"/g") },
		"new file":           func(out, secret string) error { return os.Symlink(secret+"/new", out+"/f") },
		"hard link":          func(out, secret string) error { return os.Link(secret+"/f", out+"/f") },
		"hard link to large": func(out, secret string) error { return os.Link(secret+"/f", out+"/g") },
	} {
		for _, change := range []func(*retrieve.Retriever){func(*retrieve.Retriever) {}, overwrite} {
			out, secret, untouched := outside(t)
			ok(t, prepare(out, secret))
			_, err := to(t, s, root, out, change)

			untouched()
			if err == nil {
				same(t, name, files(t, out), map[string]string{"d/": "", "d/f": "new", "f": "new", "g": "ab"})
			} else if !errors.Is(err, retrieve.ErrDiffers) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestUnfinishedFilesLeadNowhere puts links where unfinished files are written.
func TestUnfinishedFilesLeadNowhere(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Raw("f", "new"), s.File("g", "aaaa", "bbbb"))
	out := t.TempDir()
	parts := unfinished(t, s, root, out)
	if len(parts) != 1 {
		t.Fatalf("unfinished: %q", parts)
	}

	for name, link := range map[string]func(from, to string) error{"symlink": os.Symlink, "hard link": os.Link} {
		out, secret, untouched := outside(t)
		for _, part := range parts {
			ok(t, link(secret+"/f", filepath.Join(out, part)))
		}

		if _, err := to(t, s, root, out); err != nil {
			t.Errorf("%s: %v", name, err)
		}

		untouched()
		same(t, name, files(t, out), map[string]string{"f": "new", "g": "aaaabbbb"})
	}
}

// unfinished retrieves a tree without one block and returns the names of the unfinished files.
func unfinished(t *testing.T, s *treetest.Store, root tree.Link, out string) (names []string) {
	t.Helper()
	lost := s.Raw("", "bbbb")
	s.Remove(lost.CID)
	defer s.Raw("", "bbbb")

	var failed []string
	sum, err := to(t, s, root, out, func(r *retrieve.Retriever) {
		r.Failed = func(path string, err error) {
			if !errors.Is(err, blocks.ErrNotFound) {
				t.Errorf("%s: %v", path, err)
			}
			failed = append(failed, filepath.Base(path))
		}
	})

	if err != nil || sum.Failed != 1 || !slices.Equal(failed, []string{"g"}) {
		t.Errorf("%+v, %q, %v", sum, failed, err)
	}

	for name := range files(t, out) {
		if strings.HasPrefix(name, ".guppy-part-") {
			names = append(names, name)
		}
	}
	return names
}

// swapping calls a function before the n-th block is read.
type swapping struct {
	*treetest.Store
	left *atomic.Int64
	swap func()
}

func (s swapping) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	return s.Store.Fetch(ctx, cids, func(at int, data []byte) error {
		if s.left.Add(-1) == 0 {
			s.swap()
		}
		return use(at, data)
	})
}

// TestSwappedDirectories puts a symlink in place of a directory at every moment of a run.
func TestSwappedDirectories(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Directory("d", s.Directory("e", s.Raw("f", "x"), s.File("g", "a", "b"), s.Symlink("l", "x")),
		s.Raw("f", "y")), s.Raw("z", "z"))
	for _, fresh := range []bool{false, true} {
		for _, target := range []string{"d", "d/e", "d/f", "d/e/f", "d/e/g", "z"} {
			for n := range int64(12) {
				out, secret, untouched := outside(t)
				if !fresh {
					ok(t, os.MkdirAll(out+"/d/e", 0o755))
				}

				left := &atomic.Int64{}
				left.Store(n + 1)
				swap := func() {
					_ = os.Rename(filepath.Join(out, target), filepath.Join(out, "away")) // it may not exist yet
					_ = os.Symlink(secret, filepath.Join(out, target))
				}

				_, _ = to(t, swapping{s, left, swap}, root, out, overwrite) // it may fail
				untouched()
			}
		}
	}
}

func TestNamesLikeThoseOfUnfinishedFiles(t *testing.T) {
	s := treetest.New()
	plain := s.Directory("", s.Raw("f", "new"), s.File("g", "aaaa", "bbbb"))
	part := unfinished(t, s, plain, t.TempDir())[0]
	root := s.Directory("", s.Raw(part, "mine"), s.Raw("f", "new"), s.File("g", "aaaa", "bbbb"))
	out := t.TempDir()
	for range 2 {
		must(to(t, s, root, out))(t)
		same(t, "tree", files(t, out), map[string]string{part: "mine", "f": "new", "g": "aaaabbbb"})
	}
}

// interrupting ends a context after some blocks.
type interrupting struct {
	*treetest.Store
	cancel context.CancelFunc
	left   *atomic.Int64
}

func (i interrupting) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	return i.Store.Fetch(ctx, cids, func(at int, data []byte) error {
		if i.left.Add(-1) == 0 {
			i.cancel()
		}
		return use(at, data)
	})
}

// TestInterruptedRunsGoOn interrupts a run after any number of blocks. Every file with its own name must be
// whole, and the next run must fetch little again.
func TestInterruptedRunsGoOn(t *testing.T) {
	s := treetest.New()
	var large []string
	for i := range 12 {
		large = append(large, strings.Repeat(fmt.Sprint(i%10), 700<<10))
	}

	var small []tree.Link
	want := map[string]string{"d/": "", "large": strings.Join(large, "")}
	for i := range 300 {
		name := fmt.Sprintf("%03d", i)
		small = append(small, s.Raw(name, "content of "+name))
		want["d/"+name] = "content of " + name
	}

	root := s.Directory("", s.Directory("d", small...), s.File("large", large...))

	open := openFiles()
	defer func() {
		if now := openFiles(); now > open {
			t.Errorf("%d files are open that were not before", now-open)
		}
	}()

	for _, after := range []int64{1, 2, 3, 50, 200, 305, 310} {
		out := filepath.Join(t.TempDir(), "out")
		ctx, cancel := context.WithCancel(t.Context())
		left := &atomic.Int64{}
		left.Store(after)
		r := retrieve.Retriever{Blocks: interrupting{s, cancel, left}, Workers: 2}
		found := must(tree.Resolve(t.Context(), s, tree.Path{Root: root.CID}))(t)

		if _, err := r.To(ctx, found, out); !errors.Is(err, context.Canceled) {
			t.Errorf("after %d blocks: %v", after, err)
		}
		cancel()

		for name, content := range files(t, out) {
			if whole, known := want[name]; known && content != whole {
				t.Errorf("after %d blocks %s has %d bytes", after, name, len(content))
			}
		}

		sum := must(to(t, s, root, out))(t)
		same(t, "in the end", files(t, out), want)
		if after > 300 && sum.Kept < 300 {
			t.Errorf("after %d blocks little was kept: %+v", after, sum)
		}
	}
}

// openFiles counts the open files of this process, if the system can tell.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd") // other systems don't have it
	return len(entries)
}

// TestAPartThatIsWrongIsWrittenAgain goes on with an unfinished file that somebody has changed.
func TestAPartThatIsWrongIsWrittenAgain(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.File("g", "aaaa", "bbbb", "cccc"))
	out := t.TempDir()
	part := filepath.Join(out, unfinished(t, s, root, out)[0])
	ok(t, os.WriteFile(part, []byte("aaXaxxxxcccc and more"), 0o600))
	sum := must(to(t, s, root, out))(t)
	same(t, "tree", files(t, out), map[string]string{"g": "aaaabbbbcccc"})
	if sum.Kept != 4 {
		t.Errorf("%+v", sum)
	}
}

func TestHolesStayHoles(t *testing.T) {
	s := treetest.New()
	zeros := strings.Repeat("\x00", 1<<20)
	root := s.Directory("", s.File("sparse", zeros, zeros, "end", zeros))
	out := t.TempDir()
	must(to(t, s, root, out))(t)
	same(t, "tree", files(t, out), map[string]string{"sparse": zeros + zeros + "end" + zeros})
	must(to(t, s, root, out))(t)
}

func TestHostileNamesAreRefused(t *testing.T) {
	s := treetest.New()
	for _, name := range []string{"..", ".", "", "/abs", "../x", "a/b", "a\x00"} {
		out, _, untouched := outside(t)
		root := s.Directory("", s.Directory("d", s.Raw(name, "x")))
		if _, err := to(t, s, root, out); !errors.Is(err, tree.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
		untouched()
	}
}
