package retrieve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// outputFile is a file to be written into a directory. It retains the directory until then.
type outputFile struct {
	in   *directory
	name string
	node *tree.Node
	meta *metadata
}

func (f outputFile) path() string { return f.in.path(f.name) }

// part returns the name of the file while it is not whole. The name is the same in each run, so that a run goes
// on where another one stopped.
func (f outputFile) part() string {
	sum := sha256.Sum256(append(f.node.CID.Bytes(), f.name...))
	return f.in.part + hex.EncodeToString(sum[:12])
}

// batchFiles is the largest number of small files that a worker writes together.
const batchFiles = 128

// Each open directory costs two open files, and a process may have few. maxBatchDirectories limits the
// directories of a batch. maxLingering limits those that stay open for files that are still to be written.
const (
	maxBatchDirectories = 16
	maxLingering        = 64
)

// batch is a group of files of one block each.
type batch []outputFile

func (b batch) bytes() (sum uint64) {
	for _, f := range b {
		sum += f.node.Size
	}
	return sum
}

func (b batch) release() (err error) {
	for _, f := range b {
		err = errors.Join(err, f.in.release())
	}
	return err
}

// small writes those files of a batch that are not there already.
func (r *run) small(ctx context.Context, all batch) (err error) {
	defer func() { err = errors.Join(err, all.release()) }()

	var missing batch
	var parts []tree.Part

	for _, f := range all {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		present, err := r.isThere(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path(), err)
		}

		if present {
			r.keep(f)
		} else {
			missing, parts = append(missing, f), append(parts, f.node.Block())
		}
	}
	return r.fill(ctx, missing, parts)
}

// fill writes files. A file whose block can't be read does not keep the others from being written.
func (r *run) fill(ctx context.Context, files batch, parts []tree.Part) error {
	for len(files) > 0 {
		done, writing := 0, false
		err := tree.FetchParts(ctx, r.Blocks, parts, func(_ tree.Part, content []byte) error {
			writing = true
			err := files[done].write(content)

			if err == nil {
				r.count(files[done])
				r.settle(files[done])
				done, writing = done+1, false
			}
			return err
		})

		if err == nil {
			return nil
		}

		// Not the block but the file is to blame.
		if writing {
			return fmt.Errorf("%s: %w", files[done].path(), err)
		}

		if err := r.fail(ctx, files[done].path(), err); err != nil {
			return err
		}

		r.settle(files[done])
		files, parts = files[done+1:], parts[done+1:]
	}
	return nil
}

// settle counts a file in the progress that was written, was there already, or can't be written.
func (r *run) settle(f outputFile) { r.Progress.Add(1, int64(f.node.Size)) }

// count counts a file that is whole.
func (r *run) count(f outputFile) {
	r.files.Add(1)
	r.bytes.Add(int64(f.node.Size))
}

// keep counts a file that was there already.
func (r *run) keep(f outputFile) {
	r.count(f)
	r.kept.Add(int64(f.node.Size))
	r.settle(f)
}

// write writes a file that is absent or to be replaced.
func (f outputFile) write(content []byte) error { return f.in.put(f.part(), f.name, content, f.meta) }

// isThere reports whether a file is there with the right content. It returns ErrDiffers for a file that must not
// be replaced.
func (r *run) isThere(f outputFile) (bool, error) {
	info, err := f.in.lstat(f.name)
	if err != nil || info == nil {
		return false, err
	}

	same := false
	// The file is compared in memory, as a block. No block is longer than that.
	if info.Mode().IsRegular() && info.Size() == int64(f.node.Size) && info.Size() <= car.MaxDataSize {
		if same, err = f.holds(info); err != nil {
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

// touch sets the mode and time of a file that was there already, unless it has other names, which may be outside.
func (f outputFile) touch(info fs.FileInfo) error {
	if f.meta.matches(info) || isShared(info) {
		return nil
	}
	return f.in.restoreEntry(f.name, f.meta)
}

// holds reports whether the content of the existing file is the block.
func (f outputFile) holds(info fs.FileInfo) (same bool, err error) {
	existing, err := f.open(info)
	if err != nil {
		return false, unreadable(err)
	}
	defer func() { err = errors.Join(err, existing.Close()) }()

	buffer := slices.Grow([]byte(nil), int(f.node.Size))[:f.node.Size]
	if _, err := io.ReadFull(existing, buffer); err != nil {
		return false, unreadable(err)
	}

	return isContent(f.node.Block(), buffer), nil
}

// open opens an existing file, even one whose mode does not let its owner read it.
func (f outputFile) open(info fs.FileInfo) (*os.File, error) {
	existing, err := f.in.root.Open(f.name)
	if !errors.Is(err, fs.ErrPermission) || isShared(info) {
		return existing, err
	}

	if err := f.in.root.Chmod(f.name, info.Mode()|0o400); err != nil {
		return nil, err
	}

	existing, err = f.in.root.Open(f.name)
	if back := f.in.root.Chmod(f.name, info.Mode()); err == nil && back != nil {
		return nil, errors.Join(back, existing.Close())
	}

	return existing, err
}

// unreadable drops the error of a file that can't be read. The file counts as different.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// isContent reports whether content is the content of a part.
func isContent(part tree.Part, content []byte) bool {
	if !part.CID.Defined() {
		return bytes.Equal(part.Content, content)
	}
	sum, err := part.CID.Prefix().Sum(content)
	return err == nil && sum.Equals(part.CID)
}
