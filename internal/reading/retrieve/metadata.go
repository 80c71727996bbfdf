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

// metadata is what a DAG does not tell of an entry. It is nil where nothing is known. What a mode says about running a
// file in another's name (setuid, setgid) is left out: who retrieves it may be another than who owned it.
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

// restoreEntry gives a file or directory of d, or d itself under the name ".", its mode and time.
func (d *directory) restoreEntry(name string, meta *metadata) error {
	if meta == nil {
		return nil
	}
	return errors.Join(d.root.Chmod(name, meta.mode), d.restoreTime(name, meta))
}

// same tells whether a file has its mode and time already.
func (m *metadata) same(info fs.FileInfo) bool {
	return m == nil || info.Mode()&modeBits == m.mode && info.ModTime().Equal(m.modTime)
}

// known goes through the entries of an upload beside a walk of its DAG.
type known struct {
	base sqlrepo.Path
	next func() (sqlrepo.Listed, error, bool)
	stop func()
	// latest is the entry that is not passed yet, unless ended.
	latest sqlrepo.Listed
	begun  bool
	ended  bool
}

func newKnown(entries iter.Seq2[sqlrepo.Listed, error], base sqlrepo.Path) *known {
	if entries == nil {
		return &known{begun: true, ended: true, stop: func() {}}
	}
	next, stop := iter.Pull2(entries)
	return &known{base: base, next: next, stop: stop}
}

// of returns what is known of an entry, which comes behind all that were asked for before.
func (k *known) of(names []string) (*metadata, error) {
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
	for !k.begun || k.latest.Path < path {
		entry, err, ok := k.next()
		if err != nil {
			return nil, fmt.Errorf("modes and times: %w", err)
		}
		k.latest, k.begun = entry, true
		if k.ended = !ok; k.ended {
			return nil, nil
		}
	}
	if k.latest.Path != path {
		return nil, nil
	}
	return newMetadata(k.latest), nil
}
