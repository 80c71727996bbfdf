package retrieve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// partPrefix begins the names of unfinished files. It is extended if a name in the tree begins with it.
const partPrefix = ".guppy-part-"

// directory is a directory that is written into. It gets its mode and time last, when nobody writes into it any
// longer.
type directory struct {
	parent *directory
	root   *os.Root
	// name is the name in the parent. shown is the path in messages.
	name, shown string
	// fresh is true if this run has made the directory, so that nothing was in it.
	fresh bool
	// part begins the names of the directory's unfinished files.
	part string
	meta *metadata
	// borrowed is true if meta is the former mode of the directory, which is restored even if the run fails.
	borrowed bool
	// marker is a file whose presence means that a run has made the directory and has not finished.
	marker string
	users  atomic.Int64
	// abandoned is true after the run has failed. The next run then goes on in its directories.
	abandoned *atomic.Bool
	// lingering holds a place for the directory after the walk has left it.
	lingering chan struct{}

	// handle is the directory itself, for operations that take an os.Root too long. It is opened on first use.
	opening  sync.Once
	handle   *os.File
	unopened error
}

func (d *directory) path(name string) string { return filepath.Join(d.shown, name) }

func (d *directory) retain() *directory {
	d.users.Add(1)
	return d
}

// release ends one use of the directory. The last release restores its mode and time and closes it.
func (d *directory) release() error {
	if d.users.Add(-1) > 0 {
		return nil
	}

	err := d.restore()
	if d.handle != nil {
		err = errors.Join(err, d.handle.Close())
	}

	err = errors.Join(err, d.root.Close())
	if err != nil {
		err = fmt.Errorf("%s: %w", d.shown, err)
	}

	// The directory has no open files any longer, so its place is free.
	if d.lingering != nil {
		<-d.lingering
	}

	if d.parent != nil {
		err = errors.Join(err, d.parent.release())
	}
	return err
}

// restore sets the mode and time of the directory after everything has been written into it.
func (d *directory) restore() error {
	// The next run must be able to write into the directory.
	if d.abandoned.Load() && !d.borrowed {
		return nil
	}

	if d.marker != "" {
		if err := d.root.Remove(d.marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}

	return d.restoreEntry(".", d.meta)
}

// markOwn arranges that the top directory gets its mode and time in the end, if this run or an interrupted run has
// made it.
func (d *directory) markOwn(marker string, meta *metadata) error {
	if meta == nil {
		return nil
	}

	// The marker tells a later run that the directory was made for this tree.
	if d.fresh {
		file, err := d.root.OpenFile(marker, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return busy(err)
		}
	} else if info, err := d.look(marker); err != nil || info == nil {
		return err
	}

	d.marker, d.meta = marker, meta
	return nil
}

// busy blames another run for a file that has just come to exist.
func busy(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// lstat returns the info of a name, or nil if nothing is there.
func (d *directory) lstat(name string) (fs.FileInfo, error) {
	if d.fresh {
		return nil, nil
	}
	return d.look(name)
}

// look is like lstat but also sees files that other runs have made in a fresh directory.
func (d *directory) look(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// child opens a directory inside d. It makes the directory if it is absent. A symlink is not a directory,
// wherever it leads.
func (d *directory) child(name string, meta *metadata, overwrite bool) (*directory, error) {
	info, err := d.lstat(name)
	if err != nil {
		return nil, err
	}

	if info != nil && !info.IsDir() {
		if !overwrite {
			return nil, ErrDiffers
		}
		if err := d.root.Remove(name); err != nil {
			return nil, err
		}
		info = nil
	}

	mode, borrowed := fs.FileMode(0o777), false
	if meta != nil {
		// The directory gets its own mode when everything is in it.
		mode = 0o700
	}

	switch {
	case info == nil:
		err = busy(d.root.Mkdir(name, mode))
	case info.Mode()&0o700 != 0o700:
		// If no metadata is known, the directory gets its present mode back.
		if meta == nil {
			meta, borrowed = &metadata{mode: info.Mode() & modeBits}, true
		}
		err = d.root.Chmod(name, info.Mode()|0o700)
	}
	if err != nil {
		return nil, err
	}

	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}

	child := &directory{
		parent: d.retain(), root: root, name: name, shown: d.path(name), fresh: info == nil, part: partPrefix, meta: meta,
		borrowed: borrowed, abandoned: d.abandoned,
	}
	child.users.Store(1)
	return child, nil
}

// avoid changes the prefix of unfinished files so that it differs from the names of all entries.
func (d *directory) avoid(children []tree.Link) {
	for _, child := range children {
		for len(child.Name) >= len(d.part) && child.Name[:len(d.part)] == d.part {
			d.part += "-"
		}
	}
}
