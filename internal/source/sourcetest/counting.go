// Package sourcetest provides file systems for tests: one that counts calls, and one that generates a tree of any
// size.
package sourcetest

import (
	"io/fs"
	"sync"

	"github.com/guppy-prep/guppy/internal/source"
)

// Count is the number of calls to a file system and of the bytes read from its files.
type Count struct {
	Lstats, Stats, Readlinks, ReadDirs, Opens, Reads int
	BytesRead                                        int64
}

// Counting passes calls on to another file system and counts them, including those that fail. It is safe for
// concurrent use.
type Counting struct {
	fsys source.FS

	mu    sync.Mutex
	paths map[string]*Count
	total Count
	// underWay and peak count calls to the file system and to its open files.
	underWay, peak int
}

// NewCounting returns a Counting over fsys with all counts zero.
func NewCounting(fsys source.FS) *Counting {
	return &Counting{fsys: fsys, paths: map[string]*Count{}}
}

// Total returns the sum over all paths.
func (c *Counting) Total() Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Path returns the count of one path, spelled as in the calls.
func (c *Counting) Path(path string) Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if count := c.paths[path]; count != nil {
		return *count
	}
	return Count{}
}

// Peak returns the largest number of calls that were under way at once.
func (c *Counting) Peak() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peak
}

// Reset sets all counts to zero.
func (c *Counting) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths, c.total, c.peak = map[string]*Count{}, Count{}, c.underWay
}

// begin counts a call with add and returns a function that ends the call.
func (c *Counting) begin(path string, add func(*Count)) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(path, add)
	c.underWay++
	c.peak = max(c.peak, c.underWay)

	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.underWay--
	}
}

func (c *Counting) add(path string, add func(*Count)) {
	count := c.paths[path]
	if count == nil {
		count = &Count{}
		c.paths[path] = count
	}
	add(count)
	add(&c.total)
}

// Lstat implements source.FS.
func (c *Counting) Lstat(path string) (fs.FileInfo, error) {
	defer c.begin(path, func(n *Count) { n.Lstats++ })()
	return c.fsys.Lstat(path)
}

// Stat implements source.FS.
func (c *Counting) Stat(path string) (fs.FileInfo, error) {
	defer c.begin(path, func(n *Count) { n.Stats++ })()
	return c.fsys.Stat(path)
}

// Present implements source.FS. It is not counted.
func (c *Counting) Present(root string) error { return c.fsys.Present(root) }

// Readlink implements source.FS.
func (c *Counting) Readlink(path string) (string, error) {
	defer c.begin(path, func(n *Count) { n.Readlinks++ })()
	return c.fsys.Readlink(path)
}

// ReadDir implements source.FS.
func (c *Counting) ReadDir(path string) ([]fs.DirEntry, error) {
	defer c.begin(path, func(n *Count) { n.ReadDirs++ })()
	return c.fsys.ReadDir(path)
}

// Open implements source.FS.
func (c *Counting) Open(path string) (source.File, error) {
	defer c.begin(path, func(n *Count) { n.Opens++ })()
	file, err := c.fsys.Open(path)
	if err != nil {
		return nil, err
	}
	return &countingFile{File: file, counting: c, path: path}, nil
}

type countingFile struct {
	source.File
	counting *Counting
	path     string
}

func (f *countingFile) Read(p []byte) (int, error) {
	return f.read(func() (int, error) { return f.File.Read(p) })
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	return f.read(func() (int, error) { return f.File.ReadAt(p, off) })
}

func (f *countingFile) read(call func() (int, error)) (int, error) {
	defer f.counting.begin(f.path, func(n *Count) { n.Reads++ })()
	n, err := call()
	f.counting.mu.Lock()
	defer f.counting.mu.Unlock()
	f.counting.add(f.path, func(count *Count) { count.BytesRead += int64(n) })
	return n, err
}
