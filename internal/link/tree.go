package link

import (
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// tree is the path of open directories from the source down to the latest entry.
type tree struct {
	linker  *Linker
	out     *output
	digests digestCache
	open    []openDirectory
	root    unixfs.Link
	counts  sqlrepo.Counts
}

type openDirectory struct {
	entry sqlrepo.Linkable
	links *unixfs.Directory
}

// add takes the next entry in canonical order.
func (t *tree) add(ctx context.Context, entry sqlrepo.Linkable) error {
	if err := t.closeUntil(entry.Path); err != nil {
		return err
	}
	if err := t.link(ctx, entry); err != nil {
		return fmt.Errorf("%s %q: %w", entry.Kind, entry.Path.String(), err)
	}
	return nil
}

func (t *tree) link(ctx context.Context, entry sqlrepo.Linkable) error {
	switch entry.Kind {
	case sqlrepo.Directory:
		t.counts.Directories++
		links := t.linker.Profile.NewDirectory(t.out.block, unixfs.WithTempDir(t.linker.TempDir))
		t.open = append(t.open, openDirectory{entry, links})
		return nil
	case sqlrepo.Symlink:
		t.counts.Symlinks++
		block, link := unixfs.Symlink(entry.Target)
		if err := t.out.block(block); err != nil {
			return err
		}
		return t.place(entry, link)
	case sqlrepo.File:
		t.counts.Files++
		t.counts.Bytes += entry.Size
		link, err := t.file(ctx, entry)
		if err != nil {
			return err
		}
		return t.place(entry, link)
	}
	return fmt.Errorf("%w: a %s can't be linked", ErrInconsistent, entry.Kind)
}

// file builds the DAG of a file from the digests of its chunks, unless an earlier upload has done so.
func (t *tree) file(ctx context.Context, entry sqlrepo.Linkable) (unixfs.Link, error) {
	if entry.Origin != 0 {
		if entry.Known == nil {
			return unixfs.Link{}, fmt.Errorf("%w: content of an earlier upload is gone", ErrInconsistent)
		}
		return unixfs.Link{CID: entry.Known.CID.Cid, Tsize: uint64(entry.Known.DAGSize)}, nil
	}
	file := t.linker.Profile.NewFile(entry.Size, t.out.block)
	offset := int64(0)
	for i, segment := range entry.Segments {
		if segment.Offset != offset {
			return unixfs.Link{}, fmt.Errorf("%w: nothing is packed at offset %d", ErrInconsistent, offset)
		}
		offset += segment.Length
		digests, err := t.digests.of(ctx, entry.Segments, i)
		if err != nil {
			return unixfs.Link{}, err
		}
		if err := file.Add(digests); err != nil {
			return unixfs.Link{}, fmt.Errorf("%w: %w", ErrInconsistent, err)
		}
	}
	link, err := file.Close()
	if err != nil {
		return link, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	return link, nil
}

// place records the root of a finished entry and adds it to the directory that holds it.
func (t *tree) place(entry sqlrepo.Linkable, link unixfs.Link) error {
	if entry.Origin == 0 {
		root := sqlrepo.Root{Entry: entry.ID, CID: sqlrepo.CID{Cid: link.CID}, DAGSize: int64(link.Tsize)}
		if err := t.out.root(root); err != nil {
			return err
		}
	}
	if entry.Path == "" {
		t.root = link
		return nil
	}
	if len(t.open) == 0 || t.top().entry.Path != entry.Path.Parent() {
		return fmt.Errorf("%w: no directory holds it", ErrInconsistent)
	}
	return t.top().links.Add(entry.Path.Name(), link)
}

func (t *tree) top() openDirectory { return t.open[len(t.open)-1] }

// closeUntil finishes the open directories that do not hold path.
func (t *tree) closeUntil(path sqlrepo.Path) error {
	for len(t.open) > 0 && !t.top().entry.Path.Contains(path) {
		if err := t.closeTop(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) closeTop() error {
	directory := t.top()
	t.open = t.open[:len(t.open)-1]
	link, err := directory.links.Close()
	if err != nil {
		return fmt.Errorf("directory %q: %w", directory.entry.Path.String(), err)
	}
	return t.place(directory.entry, link)
}

// finish returns the root.
func (t *tree) finish() (unixfs.Link, error) {
	for len(t.open) > 0 {
		if err := t.closeTop(); err != nil {
			return unixfs.Link{}, err
		}
	}
	if !t.root.CID.Defined() {
		return unixfs.Link{}, ErrNoRoot
	}
	return t.root, nil
}

func (t *tree) discard() {
	for _, directory := range t.open {
		directory.links.Discard()
	}
}
