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

// partPrefix begins the names of files that are not whole. Where the tree has a name that begins so too, there is
// more of it.
const partPrefix = ".guppy-part-"

// directory is one that is written into. Its mode and time come last, once nobody writes into it any more.
type directory struct {
	parent *directory
	root   *os.Root
	// name is that in its parent, shown its path in messages.
	name, shown string
	// fresh tells that it was made now, so that nothing is in it.
	fresh bool
	// part begins the names of its unfinished files.
	part string
	meta *metadata
	// borrowed tells that meta is what was there before, which it gets back even if the run fails.
	borrowed bool
	// marker is a file that tells that a run has made the directory and has not come to its end.
	marker string
	users  atomic.Int64
	// abandoned tells that the run has failed: the next one goes on in its directories.
	abandoned *atomic.Bool
	// lingering is where it has a place since the walk has left it.
	lingering chan struct{}

	// here is the directory itself, for what an os.Root takes too long for; it is opened when it is needed.
	opening  sync.Once
	here     *os.File
	unopened error
}

func (d *directory) path(name string) string { return filepath.Join(d.shown, name) }

func (d *directory) retain() *directory {
	d.users.Add(1)
	return d
}

// release ends one use. The last one closes it.
func (d *directory) release() error {
	if d.users.Add(-1) > 0 {
		return nil
	}
	err := d.restore()
	if d.here != nil {
		err = errors.Join(err, d.here.Close())
	}
	err = errors.Join(err, d.root.Close())
	if err != nil {
		err = fmt.Errorf("%s: %w", d.shown, err)
	}
	if d.lingering != nil {
		<-d.lingering
	}
	if d.parent != nil {
		err = errors.Join(err, d.parent.release())
	}
	return err
}

// restore gives the directory its own mode and time once all is in it.
func (d *directory) restore() error {
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

// own has the directory that everything goes into get its mode and time in the end, if this run or one that was
// interrupted has made it.
func (d *directory) own(marker string, meta *metadata) error {
	if meta == nil {
		return nil
	}
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

// busy takes what has come to be there in this moment for another run's.
func busy(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// lstat tells what is there under a name, nil if nothing is.
func (d *directory) lstat(name string) (fs.FileInfo, error) {
	if d.fresh {
		return nil, nil
	}
	return d.look(name)
}

// look is lstat for what other runs may have made meanwhile.
func (d *directory) look(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// child opens a directory in it, which is made if it is absent. A symlink is none, wherever it leads.
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
		mode = 0o700 // until all is in it
	}
	switch {
	case info == nil:
		err = busy(d.root.Mkdir(name, mode))
	case info.Mode()&0o700 != 0o700:
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

// avoid has the names of unfinished files be others than those of the directory's entries.
func (d *directory) avoid(children []tree.Link) {
	for _, child := range children {
		for len(child.Name) >= len(d.part) && child.Name[:len(d.part)] == d.part {
			d.part += "-"
		}
	}
}
