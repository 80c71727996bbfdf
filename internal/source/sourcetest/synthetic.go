package sourcetest

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
)

// Root is the path of the tree of a Synthetic.
const Root = "/synthetic"

// Tree describes a root directory with Dirs directories, named d00000000 and so on, of Files files each, named
// f00000000 and so on. If Dirs is 0, the files are in the root.
type Tree struct {
	Dirs, Files int
	// Size is the length of each file, unless SizeOf returns it. SizeOf is called with directory 0 if the files
	// are in the root.
	Size   int64
	SizeOf func(dir, file int) int64
	// Seed determines the content of the files.
	Seed uint64
	// Latency is the duration of each call, including reads of open files.
	Latency time.Duration
}

// Synthetic is a file system with one Tree. Its content is generated when it is read: it stores nothing but the
// changes that Fail, FailRead, Change and Truncate make to single paths. It is safe for concurrent use.
type Synthetic struct {
	tree Tree

	mu      sync.Mutex
	changes map[string]*change
}

// NewSynthetic returns a file system whose tree lies at Root.
func NewSynthetic(tree Tree) *Synthetic {
	return &Synthetic{tree: tree, changes: map[string]*change{}}
}

// DirPath returns the path of a directory.
func (s *Synthetic) DirPath(dir int) string {
	if s.tree.Dirs == 0 {
		return Root
	}
	return path.Join(Root, numbered("d", dir))
}

// FilePath returns the path of a file.
func (s *Synthetic) FilePath(dir, file int) string {
	return path.Join(s.DirPath(dir), numbered("f", file))
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s%08d", prefix, n) }

// Lstat implements source.FS. There are no symlinks.
func (s *Synthetic) Lstat(path string) (fs.FileInfo, error) {
	time.Sleep(s.tree.Latency)
	return s.find("lstat", path)
}

// Stat implements source.FS.
func (s *Synthetic) Stat(path string) (fs.FileInfo, error) {
	time.Sleep(s.tree.Latency)
	return s.find("stat", path)
}

// Present implements source.FS.
func (s *Synthetic) Present(root string) error {
	_, err := s.Stat(root)
	return err
}

// Readlink implements source.FS. It always fails, since there are no symlinks.
func (s *Synthetic) Readlink(path string) (string, error) {
	time.Sleep(s.tree.Latency)
	return "", &fs.PathError{Op: "readlink", Path: path, Err: fs.ErrInvalid}
}

// ReadDir implements source.FS. It returns names in descending order, since callers must not depend on an order.
func (s *Synthetic) ReadDir(name string) ([]fs.DirEntry, error) {
	time.Sleep(s.tree.Latency)

	info, err := s.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}

	prefix, n := "f", s.tree.Files
	if path.Clean(name) == Root && s.tree.Dirs > 0 {
		prefix, n = "d", s.tree.Dirs
	}

	entries := make([]fs.DirEntry, 0, n)
	for i := n - 1; i >= 0; i-- {
		if child, ok := s.tree.locate(path.Join(path.Clean(name), numbered(prefix, i))); ok {
			entries = append(entries, fs.FileInfoToDirEntry(child))
		}
	}

	return entries, nil
}

// Open implements source.FS.
func (s *Synthetic) Open(name string) (source.File, error) {
	time.Sleep(s.tree.Latency)
	if _, err := s.find("open", name); err != nil {
		return nil, err
	}
	return &syntheticFile{fsys: s, path: path.Clean(name)}, nil
}

// find describes the file at a path, or fails as requested by Fail.
func (s *Synthetic) find(op, name string) (syntheticInfo, error) {
	info, ok := s.tree.locate(path.Clean(name))
	if !ok {
		return info, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	c := s.changes[path.Clean(name)]
	if c == nil {
		return info, nil
	}

	if err := c.failures[op]; err != nil {
		return info, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return c.apply(info), nil
}

// locate describes the file that the tree has at a path, before any change.
func (t *Tree) locate(name string) (syntheticInfo, bool) {
	rest, below := strings.CutPrefix(name, Root+"/")
	if !below {
		return directoryInfo(path.Base(Root)), name == Root
	}

	dir := 0
	if t.Dirs > 0 {
		first, file, isFile := strings.Cut(rest, "/")
		n, ok := number(first, "d", t.Dirs)
		if !ok || !isFile {
			return directoryInfo(first), ok
		}
		dir, rest = n, file
	}

	file, ok := number(rest, "f", t.Files)
	if !ok {
		return syntheticInfo{}, false
	}

	return t.fileInfo(dir, file), true
}

// number returns the number in a name such as d00000012, and false if name is not one below limit.
func number(name, prefix string, limit int) (int, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0 && n < limit && numbered(prefix, n) == name
}

func (t *Tree) fileInfo(dir, file int) syntheticInfo {
	size := t.Size
	if t.SizeOf != nil {
		size = t.SizeOf(dir, file)
	}
	return syntheticInfo{
		name: numbered("f", file), mode: 0o644, size: size, modTime: epoch,
		seed: scramble(scramble(t.Seed^uint64(dir)) ^ uint64(file)),
	}
}
