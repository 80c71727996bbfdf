package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrNotASource is returned for a root that is neither a file nor a directory.
var ErrNotASource = errors.New("neither a file nor a directory")

// Walk yields everything at and below root in canonical order, root itself first. It calls yield only from the
// calling goroutine. If yield returns an error, the walk ends and returns that error unchanged.
//
// Walk yields entries that UnixFS cannot represent as Unsupported, and entries that cannot be inspected, read or
// followed as Failed, both with their Reason. Entries that were not found while their directory was not in its
// place are yielded as Changed. In all these cases the walk continues.
//
// Walk returns an error if root is missing or cannot be read at all. The error is ErrGone if root disappears
// during the walk, one for which Exhausted returns true if the process runs out of open files or memory, and
// ErrNotASource if root is neither a file nor a directory. If ctx ends, the error wraps the cause.
//
// Directories are read and their entries inspected ahead of yield, opts.Readers at a time, in the order in which
// they will be needed. Memory is bounded by the names in the directories that are open or being read, whatever
// the size of the source. All goroutines have ended when Walk returns.
func Walk(ctx context.Context, fsys FS, root string, opts Options, yield func(sqlrepo.Entry) error) error {
	if ctx.Err() != nil {
		return stoppedError(ctx, root)
	}

	in := inspector{fsys: fsys, root: root, opts: opts}
	found, err := in.source()
	if err != nil {
		return err
	}

	if found.Kind != sqlrepo.Directory {
		return yield(found.Entry)
	}

	return newLookahead(&in).run(ctx, newDirectory(&found, root, nil), yield)
}

func stoppedError(ctx context.Context, root string) error {
	return fmt.Errorf("walk of %s: %w", root, context.Cause(ctx))
}

// run walks top on the calling goroutine while readers work ahead.
func (l *lookahead) run(ctx context.Context, top *directory, yield func(sqlrepo.Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.readers.Wait()
	defer cancel()

	l.start(ctx, top)
	e := emitter{ahead: l, yield: yield}
	return e.directory(ctx, top)
}

// emitter yields the results of the readers in order.
type emitter struct {
	ahead *lookahead
	yield func(sqlrepo.Entry) error
}

// directory yields a directory and its contents, or the outcome of a failed listing.
func (e *emitter) directory(ctx context.Context, d *directory) error {
	if !e.ahead.open(d) {
		return stoppedError(ctx, e.ahead.in.root)
	}

	switch {
	case d.err == nil:
		return e.contents(ctx, d)
	case d.entry.Path == "":
		return fmt.Errorf("source: %w", d.err)
	case fatal(d.err):
		return d.err
	case errors.Is(d.err, errNotFound):
		return nil
	case errors.Is(d.err, errAway):
		return e.yield(away(d.entry.Path))
	}

	return e.yield(failed(d.entry.Path, d.entry.Fingerprint, Reason(d.err)).Entry)
}

func (e *emitter) contents(ctx context.Context, d *directory) error {
	if err := e.yield(d.entry); err != nil {
		return err
	}

	for {
		b, ok := e.ahead.next(d)
		if !ok {
			return stoppedError(ctx, e.ahead.in.root)
		}

		if b == nil {
			return nil
		}
		if err := e.batch(ctx, b); err != nil {
			return err
		}
	}
}

// batch yields the entries of a batch, then returns the error that cut the batch short.
func (e *emitter) batch(ctx context.Context, b *batch) error {
	for i := range b.found {
		if ctx.Err() != nil {
			return stoppedError(ctx, e.ahead.in.root)
		}
		if err := e.item(ctx, &b.found[i]); err != nil {
			return err
		}
	}
	return b.err
}

func (e *emitter) item(ctx context.Context, i *item) error {
	if i.dir != nil {
		return e.directory(ctx, i.dir)
	}
	return e.yield(i.entry)
}
