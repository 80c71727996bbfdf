package retrieve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// visit makes directories and symlinks, and hands files to workers.
func (r *run) visit(ctx context.Context, e tree.Entry) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}

	meta, err := r.known.lookUp(e.Names)
	if err != nil {
		return err
	}

	switch r.Select.Judge(sqlrepo.Path(strings.Join(e.Names, "\x00")), e.Node.Kind == tree.Directory) {
	case selection.Skipped:
		if e.Node.Kind == tree.Directory {
			return tree.ErrSkip
		}
		return nil
	case selection.Passed:
		r.stack = append(r.stack, level{meta: meta, name: e.Names[len(e.Names)-1], children: e.Children})
		return nil
	case selection.Selected:
	}
	if err := r.enterPassed(); err != nil {
		return err
	}

	in, name := r.place(e)

	switch e.Node.Kind {
	case tree.Directory:
		err = r.enter(in, name, e, meta)
	case tree.Symlink:
		r.symlinks.Add(1)
		err = in.symlink(name, e.Node.Target, meta, r.Overwrite)
	case tree.File:
		// A worker counts the file and reports its errors.
		return r.file(ctx, outputFile{in: in, name: name, node: e.Node, meta: meta})
	}

	if err != nil {
		return fmt.Errorf("%s: %w", in.path(name), err)
	}
	return nil
}

// place returns the directory and the name of an entry. The name "" stands for the directory itself.
func (r *run) place(e tree.Entry) (*directory, string) {
	if len(e.Names) == 0 {
		return r.top, r.name
	}
	return r.stack[len(r.stack)-1].directory, e.Names[len(e.Names)-1]
}

// level is a directory on the way to the visited entry.
type level struct {
	// directory is nil as long as nothing in it was selected. The rest is what it then is made of.
	directory *directory
	name      string
	meta      *metadata
	children  []tree.Link
}

// enterPassed makes the directories on the way to a selected entry that are not selected themselves.
func (r *run) enterPassed() error {
	for i := range r.stack {
		passed := &r.stack[i]
		if passed.directory != nil {
			continue
		}

		// The beginning of the tree is selected, so there is a directory above.
		above := r.stack[i-1].directory
		opened, err := above.child(passed.name, passed.meta, r.Overwrite)
		if err != nil {
			return fmt.Errorf("%s: %w", above.path(passed.name), err)
		}
		r.directories.Add(1)
		opened.avoid(passed.children)
		passed.directory = opened
	}
	return nil
}

func (r *run) enter(in *directory, name string, e tree.Entry, meta *metadata) error {
	r.directories.Add(1)

	opened, err := in.retain(), error(nil)
	if name != "" {
		opened, err = in.child(name, meta, r.Overwrite)
		if err = errors.Join(err, in.release()); err != nil {
			return err
		}
	}

	opened.avoid(e.Children)
	r.stack = append(r.stack, level{directory: opened})

	if name == "" {
		return in.markOwn(outputFile{in: in, node: e.Node}.part(), meta)
	}
	return nil
}

func (r *run) leave(ctx context.Context) error {
	last := len(r.stack) - 1
	finished := r.stack[last].directory
	r.stack = r.stack[:last]
	if finished == nil {
		return nil
	}
	err := r.linger(ctx, finished)
	return errors.Join(err, finished.release())
}

// linger waits for a place for a directory that the walk leaves while files are still to be written into it. The
// wait ends, because workers free places and wait for none.
func (r *run) linger(ctx context.Context, finished *directory) error {
	if finished.users.Load() == 1 {
		return nil
	}

	select {
	case r.lingering <- struct{}{}:
		finished.lingering = r.lingering
		return nil
	default:
	}

	// Files that wait for a worker hold their directories open.
	if err := r.flush(ctx); err != nil {
		return err
	}

	select {
	case r.lingering <- struct{}{}:
		finished.lingering = r.lingering
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// file lets small files wait for each other, because many are read and written together.
func (r *run) file(ctx context.Context, f outputFile) error {
	f.in.retain()
	if f.node.CID.Type() != cid.Raw {
		return r.large(ctx, f)
	}

	if last := len(r.batch) - 1; last < 0 || r.batch[last].in != f.in {
		r.batchDirectories++
	}

	r.batch = append(r.batch, f)

	if len(r.batch) < batchFiles && r.batchDirectories < maxBatchDirectories && r.batch.bytes() < tree.BatchBytes {
		return nil
	}

	return r.flush(ctx)
}

// flush hands the waiting files to a worker.
func (r *run) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	full := r.batch
	r.batch, r.batchDirectories = nil, 0
	return r.give(ctx, func(ctx context.Context) error { return r.small(ctx, full) })
}

// symlink makes a symlink, or keeps one with the same target.
func (d *directory) symlink(name, target string, meta *metadata, overwrite bool) error {
	info, err := d.lstat(name)
	if err != nil {
		return err
	}

	if info != nil {
		if info.Mode()&fs.ModeSymlink != 0 {
			if present, err := d.root.Readlink(name); err == nil && present == target {
				return d.restoreSymlink(name, meta)
			}
		}

		if !overwrite || info.IsDir() {
			return ErrDiffers
		}

		if err := d.root.Remove(name); err != nil {
			return err
		}
	}

	if err := d.root.Symlink(target, name); err != nil {
		return busy(err)
	}
	return d.restoreSymlink(name, meta)
}
