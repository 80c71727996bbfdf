package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// dags walks the DAGs of all uploads.
func (r *run) dags(ctx context.Context) error {
	r.Progress.Begin("checking trees", "block")
	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return err
		}
		if upload.State != sqlrepo.Removed {
			r.Progress.Expect(expectedBlocks(upload), 0)
		}
	}

	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return err
		}
		if upload.State == sqlrepo.Removed {
			continue
		}
		if err := r.dag(ctx, upload); err != nil {
			return err
		}
	}
	return nil
}

// expectedBlocks estimates the number of blocks of an upload. Looking up small files takes as long as looking up the
// chunks of large ones, so bytes would say little about the time.
func expectedBlocks(upload sqlrepo.Upload) int64 {
	return upload.Files + upload.Directories + upload.Symlinks + upload.Bytes/unixfs.ChunkSize
}

// dag checks that the space holds each block of an upload's DAG in the upload's store, and that the DAG is the one
// that the rows record.
func (r *run) dag(ctx context.Context, upload sqlrepo.Upload) error {
	space, err := r.Repo.SpaceOf(ctx, upload.ID)
	if errors.Is(err, sqlrepo.ErrNotFound) && r.flawed[upload.ID] {
		r.Progress.Expect(-expectedBlocks(upload), 0)
		return nil // its source is missing, which was reported
	}
	if err != nil {
		return err
	}

	d := &dagRun{run: r, upload: upload, space: space}
	defer func() { r.Progress.Expect(d.found-expectedBlocks(upload), 0) }()
	walker := reach.Walker{
		Repo: r.Repo, TempDir: r.TempDir,
		Rooted: func(entry sqlrepo.Linkable, root unixfs.Link) error { return d.rooted(ctx, entry, root) },
		Found: func() {
			d.found++
			r.Progress.Add(1, 0)
		},
	}
	root, err := walker.Walk(ctx, upload, func(batch []reach.Block) error { return d.visit(ctx, batch) })
	if err == nil {
		err = d.flush(ctx)
	}
	if err != nil {
		return d.unknown(ctx, err)
	}

	r.Uploads++
	// Without a recorded root there is nothing to compare.
	if !upload.Rooted() || root.Equals(upload.RootCID.Cid) {
		return nil
	}
	detail := fmt.Sprintf("its root is %s, but its rows make %s", upload.RootCID, root)
	return d.emit(ctx, Problem{Code: CodeDAGRoot, Detail: detail})
}

// dagRun walks the DAG of one upload.
type dagRun struct {
	*run
	upload sqlrepo.Upload
	space  int64
	// missing gathers the missing blocks of the latest entry, and count is their number.
	missing Problem
	count   int64
	// found counts the blocks that the walk has found.
	found int64
}

// unknown reports rows that make no DAG as a problem. If other rows contradict each other, the problem is a note:
// the contradiction was reported before.
func (d *dagRun) unknown(ctx context.Context, err error) error {
	var reported *reportError
	rows := errors.Is(err, link.ErrInconsistent) || errors.Is(err, link.ErrNoRoot) || len(d.flawed) > 0
	if errors.As(err, &reported) || !rows || !blamesRows(ctx, err) {
		return err
	}
	return d.emit(ctx, Problem{Code: CodeDAGUnknown, Detail: err.Error(), Note: len(d.flawed) > 0})
}

// reportError is an error that the report function returned.
type reportError struct{ cause error }

func (e *reportError) Error() string { return e.cause.Error() }
func (e *reportError) Unwrap() error { return e.cause }

// visit looks up a batch of blocks.
func (d *dagRun) visit(ctx context.Context, batch []reach.Block) error {
	d.Blocks += int64(len(batch))
	digests := make([]sqlrepo.Digest, len(batch))
	for i, block := range batch {
		digests[i] = block.Digest
	}

	held, err := d.Repo.HeldAt(ctx, sqlrepo.Scope{Space: d.space, Store: d.upload.Store}, 0, digests)
	if err != nil {
		return err
	}

	for _, block := range batch {
		if _, ok := held.Digests[block.Digest]; ok {
			continue
		}
		if err := d.miss(ctx, block); err != nil {
			return err
		}
	}
	return nil
}

// mostBlocks bounds the missing chunks that are kept for one file, and mostMissed the missing blocks of one entry.
const (
	mostBlocks = 100_000
	mostMissed = 100
)

// miss notes a block that is not held. All missing blocks of an entry are reported together.
func (d *dagRun) miss(ctx context.Context, block reach.Block) error {
	if block.Entry != d.missing.Entry {
		if err := d.flush(ctx); err != nil {
			return err
		}
		d.missing = Problem{Code: CodeBlockMissing, Entry: block.Entry, Detail: block.CID().String()}
	}

	d.count++
	if len(d.missing.missed) < mostMissed {
		d.missing.missed = append(d.missing.missed, block.Digest)
	}
	if block.Owner != 0 && len(d.missing.blocks) < mostBlocks {
		d.missing.blocks = append(d.missing.blocks, block.Digest)
	}
	return nil
}

// flush reports the blocks noted so far.
func (d *dagRun) flush(ctx context.Context) error {
	problem, count := d.missing, d.count
	d.missing, d.count = Problem{}, 0
	if count == 0 {
		return nil
	}
	what := "nodes"
	if len(problem.blocks) > 0 {
		what = "blocks"
	}
	problem.Detail = fmt.Sprintf("no shard in its store holds %d %s of it, such as %s", count, what, problem.Detail)
	return d.emit(ctx, problem)
}

// rooted compares the root of an entry with its recorded root.
func (d *dagRun) rooted(ctx context.Context, entry sqlrepo.Linkable, root unixfs.Link) error {
	known := entry.Known
	if known == nil || known.CID.Equals(root.CID) && uint64(known.DAGSize) == root.Tsize {
		return nil
	}
	detail := fmt.Sprintf("its root is recorded as %s of %d bytes, but is %s of %d",
		known.CID, known.DAGSize, root.CID, root.Tsize)
	isFile := entry.Kind == sqlrepo.File
	return d.emit(ctx, Problem{Code: CodeRootMismatch, Entry: entry.ID, Detail: detail, isFile: isFile})
}

// emit reports a problem unless the upload was removed or opened again meanwhile.
func (d *dagRun) emit(ctx context.Context, p Problem) error {
	now, err := d.Repo.Upload(ctx, d.upload.ID)
	if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && now.State != d.upload.State {
		return nil
	}
	if err != nil {
		return err
	}
	p.Upload = d.upload.ID
	if err := d.run.emit(p); err != nil {
		return &reportError{err}
	}
	return nil
}
