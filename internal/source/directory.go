package source

import (
	"io/fs"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// directory is one that the walk has found and not yet left. Until it is listed, and then as long as it has names
// that no reader took, it waits in the queue of the lookahead, whose mutex guards everything below.
type directory struct {
	entry  sqlrepo.Entry
	osPath string
	above  *lineage
	// in is the directory that has this one, nil for the source's root; info describes it as it was found.
	in   *directory
	info fs.FileInfo

	listed bool
	err    error    // why it could not be listed
	names  []string // in byte order; taken ones are cleared
	// tooLong is why there is an entry of the name tooLongName.
	tooLong string
	taken   int // how many names readers took
	// batches were taken and not yet emitted, in order.
	batches []*batch
	// position is where in canonical order its next piece of work belongs.
	position sqlrepo.Path
}

// batch is a run of names of one directory that one reader inspects.
type batch struct {
	names []string
	found []item
	err   error // why there may be more than what was found
	done  bool
}

type item struct {
	entry sqlrepo.Entry
	dir   *directory // nil for what is not a directory
}

func newDirectory(found *finding, osPath string, in *directory) *directory {
	return &directory{
		entry: found.Entry, osPath: osPath, above: found.above, in: in, info: found.info, position: found.Path,
	}
}

// isItself reports whether a directory is still at its path, and so those above it: what it lacks is not there then.
func (d *directory) isItself(fsys FS) bool {
	for ; d != nil; d = d.in {
		info, err := fsys.Stat(d.osPath)
		if err != nil || !info.IsDir() || keyOfFile(info) != keyOfFile(d.info) {
			return false
		}
	}
	return true
}

// take cuts the next batch of at most size names off.
func (d *directory) take(size int) *batch {
	end := min(d.taken+size, len(d.names))
	b := &batch{names: slices.Clone(d.names[d.taken:end])}
	clear(d.names[d.taken:end])
	d.taken = end
	d.batches = append(d.batches, b)
	d.moveOn()
	return b
}

func (d *directory) moveOn() {
	if !d.exhausted() {
		d.position = d.entry.Path.Join(d.names[d.taken])
	}
}

// exhausted tells whether there is no more work for readers in a listed directory.
func (d *directory) exhausted() bool { return d.taken == len(d.names) }

// workQueue is a heap of directories by position.
type workQueue []*directory

func (q workQueue) Len() int           { return len(q) }
func (q workQueue) Less(i, j int) bool { return q[i].position < q[j].position }
func (q workQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *workQueue) Push(d any)        { *q = append(*q, d.(*directory)) }

func (q *workQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return d
}
