package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Digests reads the digests of the chunks of shards.
type Digests interface {
	ShardDigests(ctx context.Context, shard int64) ([]byte, error)
}

// Output takes the DAG that a Builder makes of an upload. The order of the calls depends only on the upload's rows.
// The same block may come more than once.
type Output interface {
	// Leaves takes the digests of the chunks of a file's segment. They are valid until Leaves returns.
	Leaves(file sqlrepo.Linkable, segment sqlrepo.Segment, digests []byte) error
	// Node takes a block above the chunks. The block belongs to a file of many chunks, a directory or a symlink.
	Node(entry sqlrepo.Linkable, node unixfs.Block) error
	// Root takes the root of an entry's DAG.
	Root(entry sqlrepo.Linkable, root unixfs.Link) error
}

// Builder builds the DAG of an upload from rows alone. It keeps the open directories on the path from the source
// down to the latest entry. Callers must end it with Finish or Discard.
type Builder struct {
	profile unixfs.Profile
	tempDir string
	out     Output
	digests *DigestCache
	open    []openDirectory
	root    unixfs.Link
	counts  sqlrepo.Counts
}

// NewBuilder begins a DAG. The entries of very large directories are sorted in tempDir.
func NewBuilder(profile unixfs.Profile, tempDir string, digests Digests, out Output) *Builder {
	return &Builder{profile: profile, tempDir: tempDir, out: out, digests: NewDigestCache(digests)}
}

type openDirectory struct {
	entry sqlrepo.Linkable
	links *unixfs.Directory
}

// Add takes the next entry in canonical order. It returns ErrInconsistent if the rows of the entry contradict each
// other.
func (b *Builder) Add(ctx context.Context, entry sqlrepo.Linkable) error {
	if err := b.closeUntil(entry.Path); err != nil {
		return err
	}

	if err := b.link(ctx, entry); err != nil {
		return fmt.Errorf("%s %q: %w", entry.Kind, entry.Path.String(), err)
	}
	return nil
}

func (b *Builder) link(ctx context.Context, entry sqlrepo.Linkable) error {
	switch entry.Kind {
	case sqlrepo.Directory:
		b.counts.Directories++
		links := b.profile.NewDirectory(b.nodes(entry), unixfs.WithTempDir(b.tempDir))
		b.open = append(b.open, openDirectory{entry, links})
		return nil
	case sqlrepo.Symlink:
		b.counts.Symlinks++
		block, link := unixfs.Symlink(entry.Target)
		if err := b.out.Node(entry, block); err != nil {
			return err
		}
		return b.place(entry, link)
	case sqlrepo.File:
		b.counts.Files++
		b.counts.Bytes += entry.Size
		link, err := b.file(ctx, entry)
		if err != nil {
			return err
		}
		return b.place(entry, link)
	}
	return fmt.Errorf("%w: a %s can't be linked", ErrInconsistent, entry.Kind)
}

// nodes returns a function that passes the blocks of an entry to the output.
func (b *Builder) nodes(entry sqlrepo.Linkable) func(unixfs.Block) error {
	return func(node unixfs.Block) error { return b.out.Node(entry, node) }
}

// file builds the DAG of a file from the digests of its chunks, unless an earlier upload already did.
func (b *Builder) file(ctx context.Context, entry sqlrepo.Linkable) (unixfs.Link, error) {
	// The DAG was built by an earlier upload.
	if entry.Origin != 0 && len(entry.Segments) == 0 {
		if entry.Known == nil {
			return unixfs.Link{}, fmt.Errorf("%w: content of an earlier upload is gone", ErrInconsistent)
		}
		return unixfs.Link{CID: entry.Known.CID.Cid, Tsize: uint64(entry.Known.DAGSize)}, nil
	}

	if entry.Size < 0 {
		return unixfs.Link{}, fmt.Errorf("%w: a size of %d", ErrInconsistent, entry.Size)
	}

	file := b.profile.NewFile(entry.Size, b.nodes(entry))
	offset := int64(0)

	for i, segment := range entry.Segments {
		if segment.Offset != offset {
			return unixfs.Link{}, fmt.Errorf("%w: nothing is packed at offset %d", ErrInconsistent, offset)
		}
		offset += segment.Length

		digests, err := b.digests.Of(ctx, entry.Segments, i)
		if err != nil {
			return unixfs.Link{}, err
		}

		if err := b.out.Leaves(entry, segment, digests); err != nil {
			return unixfs.Link{}, err
		}

		if err := file.Add(digests); err != nil {
			return unixfs.Link{}, inconsistent(err)
		}
	}

	link, err := file.Close()
	return link, inconsistent(err)
}

// unbuildable lists the errors of building a DAG that only contradictory rows can cause.
var unbuildable = []error{unixfs.ErrChunkCount, unixfs.ErrInvalidName, unixfs.ErrOrder, unixfs.ErrInvalidLink}

// inconsistent adds ErrInconsistent to the errors in unbuildable. It returns other errors, such as those of the
// output, unchanged.
func inconsistent(err error) error {
	for _, reason := range unbuildable {
		if errors.Is(err, reason) {
			return fmt.Errorf("%w: %w", ErrInconsistent, err)
		}
	}
	return err
}

// place records the root of a finished entry and adds it to the directory that contains it.
func (b *Builder) place(entry sqlrepo.Linkable, link unixfs.Link) error {
	if err := b.out.Root(entry, link); err != nil {
		return err
	}

	if entry.Path == "" {
		b.root = link
		return nil
	}

	if len(b.open) == 0 || b.top().entry.Path != entry.Path.Parent() {
		return fmt.Errorf("%w: no directory contains it", ErrInconsistent)
	}

	return inconsistent(b.top().links.Add(entry.Path.Name(), link))
}

func (b *Builder) top() openDirectory { return b.open[len(b.open)-1] }

// closeUntil finishes the open directories that do not contain path.
func (b *Builder) closeUntil(path sqlrepo.Path) error {
	for len(b.open) > 0 && !b.top().entry.Path.Contains(path) {
		if err := b.closeTop(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) closeTop() error {
	directory := b.top()
	b.open = b.open[:len(b.open)-1]

	link, err := directory.links.Close()
	if err != nil {
		return fmt.Errorf("directory %q: %w", directory.entry.Path.String(), err)
	}

	return b.place(directory.entry, link)
}

// Finish returns the root and the counts of the entries under it. It returns ErrNoRoot if there is no root.
func (b *Builder) Finish() (root unixfs.Link, counts sqlrepo.Counts, err error) {
	for len(b.open) > 0 {
		if err := b.closeTop(); err != nil {
			return unixfs.Link{}, b.counts, err
		}
	}

	if !b.root.CID.Defined() {
		return unixfs.Link{}, b.counts, ErrNoRoot
	}

	return b.root, b.counts, nil
}

// Discard frees the resources of the open directories. It may be called after Finish.
func (b *Builder) Discard() {
	for _, directory := range b.open {
		directory.links.Discard()
	}
}
