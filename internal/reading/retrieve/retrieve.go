// Package retrieve writes trees from their DAGs into a directory, and nowhere else, whatever names and links a
// DAG contains, and whatever links are in the directory.
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

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrDiffers is returned if something else is in the place of an entry.
var ErrDiffers = errors.New("something else exists there: remove it, or replace a file with --overwrite")

// ErrBusy is returned if another run is writing the same file.
var ErrBusy = errors.New("another run is writing there: wait until it has finished, then run this again")

// Retriever writes trees. It keeps what is already there and correct, so a run continues where an earlier one
// stopped. It compares all content, and trusts neither lengths nor times.
type Retriever struct {
	Blocks tree.Blocks
	// Known yields the entries of the tree with their modes and times, in canonical order. It is nil if they are
	// not known. Base is the path of the first entry.
	Known iter.Seq2[sqlrepo.Listed, error]
	Base  sqlrepo.Path
	// Select says which entries are written, and the directories on the way to them. Nil means all.
	Select *selection.Selection
	// Overwrite is true to replace files and symlinks that differ. Directories are never replaced.
	Overwrite bool
	Workers   int
	// Progress counts files and their bytes, in a dry run the entries that are listed and the directories on the way to
	// them. The caller expects as many as it knows of. It may be nil.
	Progress *progress.Task
	// Failed, if not nil, is called for each file that can't be written because of its DAG, with the path that DryRun has
	// for it. The other files are written.
	Failed func(path string, err error)
}

// Summary counts what was written whole, or was there already.
type Summary struct {
	Files, Directories, Symlinks int64
	// Bytes counts the bytes of these files, Kept those of them that were there already, as whole files or as parts.
	Bytes, Kept int64
	// Failed counts the files that could not be written because of their DAGs.
	Failed int64
}

// To writes a tree. The entries of a directory go into the directory out, which is made if it is absent. Any
// other entry is written as out or, if out is a directory, into it under its own name. No file has its name
// before it is whole. A directory that existed before keeps its mode and time. To returns ErrNothingSelected before it
// makes anything. It returns ErrDiffers, ErrBusy, tree.ErrMalformed, blocks.ErrNotFound, and errors of the file system,
// and then leaves what it has written so far.
func (r *Retriever) To(ctx context.Context, from tree.Resolved, out string) (Summary, error) {
	if r.Select.Includes() {
		if err := r.requireSelected(ctx, from, out); err != nil {
			return Summary{}, err
		}
	}

	top, name, err := openTop(from, out)
	if err != nil {
		return Summary{}, err
	}

	started := &run{
		Retriever: r, top: top, name: name, work: make(chan func(context.Context) error, r.Workers),
		lingering: make(chan struct{}, maxLingering), abandoned: top.abandoned,
	}

	started.buffers.New = func() any { return new([]byte) }
	started.known = newKnown(r.Known, r.Base)
	defer started.known.stop()

	err = started.run(ctx, from.Node)

	if started.failed.Load() > 0 {
		// The next run must be able to repair what failed.
		started.abandoned.Store(true)
	}

	err = errors.Join(err, top.release())
	return started.summary(), err
}

// openTop opens the directory that everything goes into. It also returns the name of the entry in the directory,
// or "" for the directory itself.
func openTop(from tree.Resolved, out string) (*directory, string, error) {
	path, name, exists, err := topOf(from, out)
	if err != nil {
		return nil, "", err
	}
	top, err := openOut(path, exists)
	return top, name, err
}

// topOf returns the path of the directory that everything goes into, the name of the entry in it, or "" for the
// directory itself, and whether the directory exists.
func topOf(from tree.Resolved, out string) (path, name string, exists bool, err error) {
	info, err := os.Stat(out)
	exists = err == nil

	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", false, err
	case from.Node.Kind == tree.Directory && exists && !info.IsDir():
		return "", "", false, fmt.Errorf("%s: %w", out, ErrDiffers)
	case from.Node.Kind == tree.Directory:
		return out, "", exists, nil
	// A root has no name that the file could get in the directory.
	case exists && info.IsDir() && len(from.Names) == 0:
		return "", "", false, fmt.Errorf("%s is a directory: name a file in it", out)
	case exists && info.IsDir():
		return out, from.Names[len(from.Names)-1], true, nil
	}
	return filepath.Dir(out), filepath.Base(out), true, nil
}

func openOut(path string, exists bool) (*directory, error) {
	if !exists {
		err := os.Mkdir(path, 0o777)
		if exists = errors.Is(err, fs.ErrExist); err != nil && !exists {
			return nil, err
		}
	}

	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}

	top := &directory{root: root, shown: path, fresh: !exists, part: partPrefix, abandoned: new(atomic.Bool)}
	top.users.Store(1)
	return top, nil
}

// run is one call of To.
type run struct {
	*Retriever
	top   *directory
	name  string
	known *knownMetadata
	work  chan func(context.Context) error
	// stack holds the open directories on the way to the visited entry. batch holds the small files that wait for
	// a worker, and batchDirectories counts their directories. lingering has a place for each directory that the
	// walk has left while files are still written into it.
	stack            []level
	batch            batch
	batchDirectories int
	lingering        chan struct{}
	abandoned        *atomic.Bool

	files, directories, symlinks, bytes, kept, failed atomic.Int64
	failing                                           sync.Mutex
	// buffers holds buffers for comparing content.
	buffers sync.Pool
}

func (r *run) summary() Summary {
	return Summary{
		Files: r.files.Load(), Directories: r.directories.Load(), Symlinks: r.symlinks.Load(), Bytes: r.bytes.Load(),
		Kept: r.kept.Load(), Failed: r.failed.Load(),
	}
}

// run walks the tree while workers write its files. It returns the first error.
func (r *run) run(ctx context.Context, root *tree.Node) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	end := func(err error) {
		if err != nil {
			r.abandoned.Store(true)
			cancel(err)
		}
	}

	var group sync.WaitGroup
	for range max(1, r.Workers) {
		group.Go(func() {
			// Workers do all work, whatever fails, because each piece of work has a directory to release.
			for work := range r.work {
				end(work(running))
			}
		})
	}

	end(r.walk(running, root))

	// An error leaves directories open.
	for _, open := range r.stack {
		if open.directory != nil {
			end(open.directory.release())
		}
	}

	end(r.batch.release())
	close(r.work)
	group.Wait()

	if r.abandoned.Load() && ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Cause(running)
}

func (r *run) walk(ctx context.Context, root *tree.Node) error {
	err := tree.Walk(ctx, r.Blocks, root, func(e tree.Entry) error { return r.visit(ctx, e) },
		func(tree.Entry) error { return r.leave(ctx) })
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// give hands work to a worker, even if the run has ended: the work then does no more than release what it holds.
func (r *run) give(ctx context.Context, work func(context.Context) error) error {
	r.work <- work
	return context.Cause(ctx)
}

// faulty reports whether an error is only about the DAG of a file.
func faulty(err error) bool {
	var unread *blocks.BlockError
	return errors.As(err, &unread) || errors.Is(err, blocks.ErrNotFound) || errors.Is(err, tree.ErrMalformed) ||
		errors.Is(err, tree.ErrUnsupported)
}

// fail reports a file that can't be written because of its DAG. It returns any other error.
func (r *run) fail(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil || !faulty(err) {
		return fmt.Errorf("%s: %w", path, err)
	}

	r.failed.Add(1)
	if r.Failed == nil {
		return nil
	}
	path, relErr := filepath.Rel(r.top.shown, path)
	if relErr != nil {
		return relErr
	}
	r.failing.Lock()
	defer r.failing.Unlock()
	r.Failed(path, err)
	return nil
}
