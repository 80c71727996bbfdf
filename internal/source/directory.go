package source

import (
	"io/fs"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// directory is a directory that the walk has found and not yet left. It waits in the queue of the lookahead until
// it is listed, and then for as long as it has names that no reader has taken. The mutex of the lookahead guards
// the fields from listed on, except tooLong, which is set before listed.
type directory struct {
	entry  sqlrepo.Entry
	osPath string
	above  *lineage
	// in is the parent directory, nil for the source's root. info describes the directory as it was found.
	in   *directory
	info fs.FileInfo

	listed bool
	err    error    // why the directory could not be listed
	names  []string // in byte order; names that were taken are cleared
	// tooLong is the reason of the entry named tooLongName, if there is one.
	tooLong string
	// taken is the number of names that readers have taken.
	taken int
	// batches are the batches that were taken and not yet emitted, in order.
	batches []*batch
	// position is the place in canonical order of the directory's next piece of work.
	position sqlrepo.Path
}

// batch is a run of names of one directory, inspected by one reader.
type batch struct {
	names []string
	found []item
	err   error // why entries may be missing from found
	done  bool
}

// item is an inspected entry or, if dir is not nil, a directory to descend into.
type item struct {
	entry sqlrepo.Entry
	dir   *directory // nil for anything but a directory
}

func newDirectory(found *finding, osPath string, in *directory) *directory {
	return &directory{
		entry: found.Entry, osPath: osPath, above: found.above, in: in, info: found.info, position: found.Path,
	}
}

// isItself reports whether the directory and those above it are still at their paths. If so, a name that is not
// found in the directory does not exist.
func (d *directory) isItself(fsys FS) bool {
	for ; d != nil; d = d.in {
		info, err := fsys.Stat(d.osPath)
		if err != nil || !info.IsDir() || keyOfFile(info) != keyOfFile(d.info) {
			return false
		}
	}
	return true
}

// nextBatch removes the next batch of at most size names and returns it.
func (d *directory) nextBatch(size int) *batch {
	end := min(d.taken+size, len(d.names))
	b := &batch{names: slices.Clone(d.names[d.taken:end])}
	clear(d.names[d.taken:end])
	d.taken = end

	d.batches = append(d.batches, b)
	d.moveOn()
	return b
}

// moveOn sets the position to the next name that no reader has taken.
func (d *directory) moveOn() {
	if !d.exhausted() {
		d.position = d.entry.Path.Join(d.names[d.taken])
	}
}

// exhausted reports whether readers have taken all names of a listed directory.
func (d *directory) exhausted() bool { return d.taken == len(d.names) }

// workQueue is a heap of directories, ordered by position.
type workQueue []*directory

func (q workQueue) Len() int           { return len(q) }
func (q workQueue) Less(i, j int) bool { return q[i].position < q[j].position }
func (q workQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *workQueue) Push(d any)        { *q = append(*q, d.(*directory)) }

func (q *workQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	// The array must not keep the directory alive.
	(*q)[last] = nil
	*q = (*q)[:last]
	return d
}
