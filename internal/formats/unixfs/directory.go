package unixfs

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	// ErrInvalidName is returned for a directory entry whose name is empty or contains a NUL byte or a slash.
	ErrInvalidName = errors.New("invalid name of a directory entry")
	// ErrOrder is returned for a directory entry whose name does not follow the previous one in byte order.
	ErrOrder = errors.New("directory entries are not in strict byte order of their names")
	// ErrInvalidLink is returned for a link that can't be an entry: it has no CID, or its size is out of range.
	ErrInvalidLink = errors.New("invalid link of a directory entry")
)

// defaultSpillAt bounds the bytes of one directory's entries in memory.
const defaultSpillAt = 32 << 20

// Directory builds the DAG of one directory, as a single block or as a HAMT. Entries that exceed a fixed amount of
// memory wait in a temporary file. Callers must call Discard if they do not call Close.
type Directory struct {
	profile Profile
	emit    func(Block) error
	tempDir string
	spillAt int

	links arena
	last  []byte // name of the latest entry
	names int64  // bytes of names and CIDs
	block int64  // bytes of the directory, encoded as a single block
	tsize uint64 // sum over the entries
	spill *spill // entries which outgrew the arena; nil if there are none
	err   error  // what stopped the directory, or ErrClosed
}

// DirectoryOption configures a Directory.
type DirectoryOption func(*Directory)

// WithTempDir sets the directory of the temporary file that a very large directory needs. The default is
// os.TempDir. The file has no name, except for a moment while it is created, so a crash leaves nothing behind.
func WithTempDir(dir string) DirectoryOption {
	return func(d *Directory) { d.tempDir = dir }
}

// NewDirectory starts a directory. It passes all blocks to emit while it closes.
func (p Profile) NewDirectory(emit func(Block) error, options ...DirectoryOption) *Directory {
	d := &Directory{profile: p, emit: emit, spillAt: defaultSpillAt, err: p.check()}
	d.block = int64(len(appendData(nil, directoryData())))

	for _, option := range options {
		option(d)
	}
	return d
}

// Add adds an entry. Names are byte strings, not necessarily UTF-8, and must come in strict byte order. Add returns
// ErrInvalidName, ErrOrder, ErrInvalidLink, or an error of the temporary file. After an error, the directory can't
// be used.
func (d *Directory) Add(name string, l Link) error {
	if d.err != nil {
		return d.err
	}

	if err := d.admit(name, l); err != nil {
		return d.fail(err)
	}

	d.count(name, l)
	d.links.add(name, l)

	// A directory in one block is too small to need the file.
	if d.isHAMT() && len(d.links.buf) >= d.spillAt {
		if err := d.spillLinks(); err != nil {
			return d.fail(err)
		}
	}
	return nil
}

// admit checks an entry before it is added.
func (d *Directory) admit(name string, l Link) error {
	switch {
	case name == "" || strings.ContainsAny(name, "\x00/"):
		return fmt.Errorf("%w: %q", ErrInvalidName, name)
	case name <= string(d.last):
		return fmt.Errorf("%w: %q after %q", ErrOrder, name, d.last)
	case !l.CID.Defined():
		return fmt.Errorf("%w: %q has no CID", ErrInvalidLink, name)
	case l.Tsize > math.MaxInt64-d.tsize:
		return fmt.Errorf("%w: size %d of %q is out of range", ErrInvalidLink, l.Tsize, name)
	}
	return nil
}

func (d *Directory) count(name string, l Link) {
	d.last = append(d.last[:0], name...)
	d.tsize += l.Tsize
	d.names += int64(len(name) + l.CID.ByteLen())
	d.block += 1 + int64(protowire.SizeBytes(linkSize(l.CID.ByteLen(), len(name), l.Tsize)))
}

func (d *Directory) isHAMT() bool {
	return d.profile.directorySize(d.block, d.names) > hamtThreshold
}

func (d *Directory) spillLinks() error {
	if d.spill == nil {
		var err error
		if d.spill, err = newSpill(d.tempDir); err != nil {
			return err
		}
	}

	d.links.sort()
	return d.spill.write(&d.links)
}

// Close finishes the directory and returns the link to its root. It returns ErrHashCollision if two names have the
// same hash in a HAMT, ErrClosed if called again, and any earlier error, error of emit, or error of the temporary
// file.
func (d *Directory) Close() (Link, error) {
	defer d.Discard()
	if d.err != nil {
		return Link{}, d.err
	}

	root, err := d.build()
	if err != nil {
		return Link{}, d.fail(err)
	}
	return root, nil
}

func (d *Directory) build() (Link, error) {
	if !d.isHAMT() {
		return d.buildPlain()
	}

	h := newHAMT(d.emit)
	for r, err := range d.hashOrder() {
		if err != nil {
			return Link{}, err
		}
		if err := h.add(r); err != nil {
			return Link{}, err
		}
	}

	return h.close()
}

func (d *Directory) buildPlain() (Link, error) {
	data := make([]byte, 0, d.block)
	for r := range d.links.all() {
		data = appendLink(data, r.cid, r.name, r.tsize)
	}
	b := newBlock(appendData(data, directoryData()))
	return Link{CID: b.CID, Tsize: d.tsize + uint64(len(b.Data))}, d.emit(b)
}

// hashOrder returns all entries in the order of their hashes.
func (d *Directory) hashOrder() iter.Seq2[record, error] {
	if d.spill == nil {
		d.links.sort()
		return withoutError(d.links.all())
	}

	if err := d.spillLinks(); err != nil {
		return func(yield func(record, error) bool) { yield(record{}, err) }
	}
	return d.spill.merge()
}

func withoutError(records iter.Seq[record]) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Discard frees the resources of the directory. It has no effect after Close, so it can be deferred.
func (d *Directory) Discard() {
	if d.err == nil {
		d.err = ErrClosed
	}
	d.links = arena{}
	if d.spill != nil {
		d.spill.close()
		d.spill = nil
	}
}

func (d *Directory) fail(err error) error {
	d.err = err
	d.Discard()
	return err
}
