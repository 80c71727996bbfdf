package retrieve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// largeFile is a file of many parts. Workers write the parts side by side under a temporary name.
type largeFile struct {
	outputFile
	run *run
	out *os.File
	// had is the length that an earlier run has left. The content up to there is compared, not trusted.
	had int64
	// kept counts the bytes that were there already.
	kept atomic.Int64
	// pending counts the batches that are not written yet, plus one while batches are being handed out.
	pending atomic.Int64
	mu      sync.Mutex
	failed  error
	counted *progress.Part
}

// large begins a file of many parts, unless the file is there already.
func (r *run) large(ctx context.Context, f outputFile) error {
	whole, err := r.isWhole(ctx, f)
	switch {
	case err != nil:
		r.settle(f)
	case whole:
		r.keep(f)
	default:
		return r.begin(ctx, f)
	}

	if err = errors.Join(err, f.in.release()); err != nil {
		return r.fail(ctx, f.path(), err)
	}
	return nil
}

// begin hands out the batches of a file.
func (r *run) begin(ctx context.Context, f outputFile) error {
	l := &largeFile{outputFile: f, run: r}
	l.counted = r.Progress.Part(f.name, int64(f.node.Size))
	if err := l.open(); err != nil {
		l.counted.End()
		return fmt.Errorf("%s: %w", f.path(), errors.Join(err, f.in.release()))
	}

	// This function counts as one batch, so that no other batch ends the file too early.
	l.pending.Store(1)

	var failed error
	for parts, err := range tree.Batches(f.node.Parts(ctx, r.Blocks, 0, max(1, f.node.Size))) {
		if err == nil {
			l.pending.Add(1)
			err = r.give(ctx, func(ctx context.Context) error { return l.done(ctx, l.write(ctx, parts)) })
		}

		if err != nil {
			failed = err
			break
		}
	}
	return l.done(ctx, failed)
}

// open opens the file that an earlier run has left, or creates one. It returns ErrBusy if another run is writing
// the file.
func (l *largeFile) open() (err error) {
	part := l.part()
	if l.out, err = l.in.unfinished(part); err != nil {
		return err
	}

	if l.out == nil {
		l.out, err = l.in.create(part)
		return err
	}

	info, err := l.out.Stat()
	if err != nil {
		return errors.Join(err, l.out.Close())
	}

	l.had = info.Size()
	return nil
}

// write writes the parts that are missing.
func (l *largeFile) write(ctx context.Context, parts []tree.Part) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}

	missing, err := l.missing(parts)
	if err != nil {
		return err
	}

	return tree.FetchParts(ctx, l.run.Blocks, missing, func(part tree.Part, content []byte) error {
		l.counted.Add(int64(part.Size))
		if int64(part.Offset) >= l.had && isZero(content) {
			// A hole needs no write: the file gets its length in the end.
			return nil
		}

		_, err := l.out.WriteAt(content, int64(part.Offset))
		return err
	})
}

// missing returns the parts that no earlier run has written.
func (l *largeFile) missing(parts []tree.Part) (missing []tree.Part, err error) {
	for _, part := range parts {
		same := false
		if end := part.Offset + part.Size; end <= uint64(l.had) {
			if same, err = l.run.holdsPart(l.out, part); err != nil {
				return nil, err
			}
		}

		if same {
			l.kept.Add(int64(part.Size))
			l.counted.Add(int64(part.Size))
		} else {
			missing = append(missing, part)
		}
	}
	return missing, nil
}

// holdsPart reports whether a file holds a part at its offset.
func (r *run) holdsPart(in *os.File, part tree.Part) (bool, error) {
	if part.Size > car.MaxDataSize {
		return false, nil // no block is that long
	}

	pooled := r.buffers.Get().(*[]byte)
	defer r.buffers.Put(pooled)
	*pooled = slices.Grow((*pooled)[:0], int(part.Size))[:part.Size]

	if _, err := in.ReadAt(*pooled, int64(part.Offset)); err != nil {
		return false, unreadable(err)
	}

	return isContent(part, *pooled), nil
}

var zeros = make([]byte, 64<<10)

func isZero(content []byte) bool {
	for len(content) > 0 {
		n := min(len(content), len(zeros))
		if !bytes.Equal(content[:n], zeros[:n]) {
			return false
		}
		content = content[n:]
	}
	return true
}

// done ends a batch. The last batch ends the file. An interrupted or failed run leaves the file to the next run.
func (l *largeFile) done(ctx context.Context, err error) error {
	l.mu.Lock()
	if l.failed == nil {
		// Failures after the first one are mostly consequences of it.
		l.failed = err
	}
	l.mu.Unlock()

	if l.pending.Add(-1) > 0 {
		if err != nil && !faulty(err) {
			// This error ends the run.
			return fmt.Errorf("%s: %w", l.path(), err)
		}

		return nil
	}

	l.counted.Done()
	l.run.Progress.Add(1, 0)
	err = l.failed
	if err == nil && int64(l.node.Size) != l.had {
		err = l.out.Truncate(int64(l.node.Size))
	}

	if err == nil {
		err = l.finish(l.out)
	} else {
		err = errors.Join(err, l.out.Close())
	}

	if err == nil {
		l.run.count(l.outputFile)
		l.run.kept.Add(l.kept.Load())
	} else {
		err = l.run.fail(ctx, l.path(), err)
	}
	return errors.Join(err, l.in.release())
}

// isWhole reports whether a file of many parts is there. It returns ErrDiffers for a file that must not be
// replaced.
func (r *run) isWhole(ctx context.Context, f outputFile) (bool, error) {
	info, err := f.in.lstat(f.name)
	if err != nil || info == nil {
		return false, err
	}

	same := false
	if info.Mode().IsRegular() && info.Size() == int64(f.node.Size) {
		if same, err = r.compare(ctx, f, info); err != nil {
			return false, err
		}
	}

	switch {
	case same:
		return true, f.touch(info)
	case r.Overwrite && !info.IsDir():
		return false, nil
	}

	return false, ErrDiffers
}

// errOther ends a comparison of different content.
var errOther = errors.New("other content")

// compare compares the existing file with the parts that it should have, several at a time.
func (r *run) compare(ctx context.Context, f outputFile, info fs.FileInfo) (same bool, err error) {
	existing, err := f.open(info)
	if err != nil {
		return false, unreadable(err)
	}
	defer func() { err = errors.Join(err, existing.Close()) }()

	group, running := errgroup.WithContext(ctx)
	group.SetLimit(max(1, r.Workers))
	for part, err := range f.node.Parts(running, r.Blocks, 0, max(1, f.node.Size)) {
		// One part that differs is enough.
		if running.Err() != nil {
			break
		}

		group.Go(func() error {
			if err != nil {
				return err
			}

			same, err := r.holdsPart(existing, part)
			if err == nil && !same {
				err = errOther
			}
			return err
		})
	}

	err = group.Wait()
	if errors.Is(err, errOther) {
		return false, nil
	}
	return err == nil, errors.Join(err, ctx.Err())
}
