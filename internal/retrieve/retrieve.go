// Package retrieve writes trees out of their DAGs into a directory, and nowhere else: whatever names and links a DAG
// holds, and whatever links lie where it is written.
package retrieve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/blocks"
	"github.com/guppy-prep/guppy/internal/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrDiffers is returned when something else is where an entry is to be written.
var ErrDiffers = errors.New("something else is there: remove it, or replace it with --overwrite")

// Retriever writes trees. What is there already and right is kept, so that a run goes on where one before it stopped:
// all content is compared, none is trusted for its length or its time.
type Retriever struct {
	Blocks tree.Blocks
	// Known are the entries of the tree with their modes and times, in canonical order, if that is known; Base is the
	// path of the first.
	Known iter.Seq2[sqlrepo.Listed, error]
	Base  sqlrepo.Path
	// Overwrite has files and symlinks replaced that differ. Directories never are.
	Overwrite bool
	Workers   int
	// Failed is told of each file that can't be written because of its DAG. The others are.
	Failed func(path string, err error)
}

// Summary counts what was written, or was there already.
type Summary struct {
	Files, Directories, Symlinks int64
	// Bytes are those of all files, Kept those of the files and parts that were there.
	Bytes, Kept int64
	// Failed is how many files could not be written because of their DAGs.
	Failed int64
}

// To writes a tree. A directory's entries go to the directory out, which is made if it is absent. Anything else is
// written as out, or into it under its own name if out is a directory. It returns ErrDiffers, tree.ErrMalformed,
// blocks.ErrNotFound, and errors of the file system, and leaves then what it has written so far. No file has its name
// before it is whole.
func (r *Retriever) To(ctx context.Context, from tree.Resolved, out string) (Summary, error) {
	top, name, err := openTop(from, out)
	if err != nil {
		return Summary{}, err
	}
	run := &run{Retriever: r, top: top, name: name, work: make(chan func(context.Context) error, r.Workers)}
	run.buffers.New = func() any { return new([]byte) }
	run.known = newKnown(r.Known, r.Base)
	defer run.known.stop()
	err = run.run(ctx, from.Node)
	err = errors.Join(err, top.release())
	return run.summary(), err
}

// openTop opens the directory that everything goes into, and says as what: "" stands for the directory itself.
func openTop(from tree.Resolved, out string) (*directory, string, error) {
	info, err := os.Stat(out)
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	case from.Node.Kind == tree.Directory && exists && !info.IsDir():
		return nil, "", fmt.Errorf("%s: %w", out, ErrDiffers)
	case from.Node.Kind == tree.Directory:
		return openOut(out, exists)
	case exists && info.IsDir() && len(from.Names) == 0:
		return nil, "", fmt.Errorf("%s is a directory: say the name of the file in it", out)
	case exists && info.IsDir():
		top, _, err := openOut(out, true)
		return top, from.Names[len(from.Names)-1], err
	}
	top, _, err := openOut(filepath.Dir(out), true)
	return top, filepath.Base(out), err
}

func openOut(path string, exists bool) (*directory, string, error) {
	if !exists {
		if err := os.Mkdir(path, 0o777); err != nil {
			return nil, "", err
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, "", err
	}
	top := &directory{root: root, shown: path, fresh: !exists, part: partPrefix}
	top.users.Store(1)
	return top, "", nil
}

// run is one call of To.
type run struct {
	*Retriever
	top   *directory
	name  string
	known *known
	work  chan func(context.Context) error
	// stack are the open directories on the way to the entry that is visited, batch the small files that wait for a
	// worker.
	stack []*directory
	batch batch

	files, directories, symlinks, bytes, kept, failed atomic.Int64
	failing                                           sync.Mutex
	// buffers are for comparing.
	buffers sync.Pool
}

func (r *run) summary() Summary {
	return Summary{
		Files: r.files.Load(), Directories: r.directories.Load(), Symlinks: r.symlinks.Load(), Bytes: r.bytes.Load(),
		Kept: r.kept.Load(), Failed: r.failed.Load(),
	}
}

// run walks the tree while workers write its files.
func (r *run) run(ctx context.Context, root *tree.Node) error {
	group, ctx := errgroup.WithContext(ctx)
	for range max(1, r.Workers) {
		group.Go(func() error {
			for work := range r.work { // to the end, whatever fails: each has a directory to release
				if err := work(ctx); err != nil {
					r.drain()
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(r.work)
		err := tree.Walk(ctx, r.Blocks, root, func(e tree.Entry) error { return r.visit(ctx, e) }, r.leave)
		err = errors.Join(err, r.flush(ctx))
		for _, open := range r.stack { // those that an error has left open
			err = errors.Join(err, open.release())
		}
		return err
	})
	return group.Wait()
}

// drain has work that nobody does any more release what it holds.
func (r *run) drain() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for work := range r.work {
		_ = work(ended) // what failed first is told
	}
}

// give has a worker do something.
func (r *run) give(ctx context.Context, work func(context.Context) error) error {
	select {
	case r.work <- work:
		return nil
	case <-ctx.Done():
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(context.Cause(ctx), work(ended))
	}
}

// faulty tells whether an error says something about the DAG of a file alone.
func faulty(err error) bool {
	var unread *blocks.BlockError
	return errors.As(err, &unread) || errors.Is(err, blocks.ErrNotFound) || errors.Is(err, tree.ErrMalformed) ||
		errors.Is(err, tree.ErrUnsupported)
}

// fail tells of a file that can't be written because of its DAG, and passes on any other error.
func (r *run) fail(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil || !faulty(err) {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.failed.Add(1)
	if r.Failed != nil {
		r.failing.Lock()
		defer r.failing.Unlock()
		r.Failed(path, err)
	}
	return nil
}
