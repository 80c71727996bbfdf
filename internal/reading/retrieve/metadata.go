package retrieve

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// metadata is the part of an entry that a DAG does not contain. It is nil if nothing is known. The setuid and
// setgid bits are left out, because the user who retrieves a file may differ from its former owner.
type metadata struct {
	mode    fs.FileMode
	bits    uint32
	modTime time.Time
}

func newMetadata(entry sqlrepo.Listed) *metadata {
	bits := uint32(entry.Mode) & 0o777
	mode := fs.FileMode(bits)
	if entry.Kind == sqlrepo.Directory && entry.Mode&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return &metadata{mode, bits, entry.Modified()}
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// restoreEntry sets the mode and time of an entry of d, or of d itself if name is ".".
func (d *directory) restoreEntry(name string, meta *metadata) error {
	if meta == nil {
		return nil
	}
	return errors.Join(d.root.Chmod(name, meta.mode), d.restoreTime(name, meta))
}

// matches reports whether a file already has its mode and time.
func (m *metadata) matches(info fs.FileInfo) bool {
	return m == nil || info.Mode()&modeBits == m.mode && info.ModTime().Equal(m.modTime)
}

// knownMetadata goes through the entries of an upload beside a walk of its DAG.
type knownMetadata struct {
	base sqlrepo.Path
	next func() (sqlrepo.Listed, error, bool)
	stop func()
	// latest is the first entry that has not been passed, unless ended is true.
	latest  sqlrepo.Listed
	started bool
	ended   bool
}

func newKnown(entries iter.Seq2[sqlrepo.Listed, error], base sqlrepo.Path) *knownMetadata {
	if entries == nil {
		return &knownMetadata{started: true, ended: true, stop: func() {}}
	}
	next, stop := iter.Pull2(entries)
	return &knownMetadata{base: base, next: next, stop: stop}
}

// lookUp returns the metadata of an entry, or nil if none is known. Calls must be in canonical order.
func (k *knownMetadata) lookUp(names []string) (*metadata, error) {
	if k.ended {
		return nil, nil
	}

	path := sqlrepo.Path(strings.Join(names, "\x00"))

	switch {
	case len(names) == 0:
		path = k.base
	case k.base != "":
		path = k.base.Join(string(path))
	}

	// Entries that the walk does not visit are passed over.
	for !k.started || k.latest.Path < path {
		entry, err, ok := k.next()
		if err != nil {
			return nil, fmt.Errorf("modes and times: %w", err)
		}

		k.latest, k.started = entry, true

		if k.ended = !ok; k.ended {
			return nil, nil
		}
	}

	if k.latest.Path != path {
		return nil, nil
	}
	return newMetadata(k.latest), nil
}
