package sqlrepo

import (
	"math"
	"time"
)

// EntryKind is the kind of an entry. The values are stored.
type EntryKind int16

// The kinds of entries. A Special (socket, device, pipe) has no representation in UnixFS and is always left out.
const (
	File EntryKind = iota + 1
	Directory
	Symlink
	Special
)

func (k EntryKind) String() string {
	switch k {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symlink"
	case Special:
		return "special"
	}
	return "unknown"
}

// EntryState says how far an entry's content can be prepared. The values are stored.
type EntryState int16

// The states of entries.
const (
	// Ready entries can be prepared as far as is known.
	Ready EntryState = iota
	// Changed entries differed once from their fingerprint when they were read. They wait to be scanned again.
	Changed
	// Rescanned entries were Changed and scanned again. The next difference makes them Failed.
	Rescanned
	// Failed entries could not be prepared, for Reason.
	Failed
	// Unsupported entries have no representation in UnixFS, for Reason. Leaving them out is no failure.
	Unsupported
	// Unreachable entries lie below a directory that is Failed because it can't be read now. Their content stays.
	Unreachable
)

// Fingerprint shows whether an entry has changed since it was scanned.
type Fingerprint struct {
	Kind EntryKind `db:"kind"`
	// Size is a file's length in bytes, 0 for other kinds.
	Size int64 `db:"size"`
	// ModTime is in nanoseconds since 1970 UTC, as far as they fit: see Modified.
	ModTime int64 `db:"mtime_ns"`
	// Era counts the spans of 2^64 ns that do not fit into ModTime. It is 0 from 1678 to 2262.
	Era int64 `db:"mtime_era"`
	// Mode is st_mode & 07777. It is no part of a DAG: a file is not read again if only its mode has changed.
	Mode int32 `db:"permissions"`
	// Target is the target of a symlink, nil for other kinds.
	Target []byte `db:"target"`
	// Ctime is when a file or directory last changed, including its attributes, in nanoseconds since 1970. Inode is
	// the number of a file. Either is 0 if it is not known or the file system makes it up.
	Ctime int64 `db:"ctime_ns"`
	Inode int64 `db:"inode"`
	// Unproven is true if the entry changed so shortly before it was scanned that a later change could leave the
	// same fingerprint.
	Unproven bool `db:"unproven"`
}

// The length of an era, 2^64 nanoseconds, in seconds and the nanoseconds left over.
const (
	eraSeconds     = 18_446_744_073
	eraNanoseconds = 709_551_616
)

// Modified returns the time of modification, whatever the year.
func (f Fingerprint) Modified() time.Time {
	return time.Unix(f.Era*eraSeconds+f.ModTime/1e9, f.Era*eraNanoseconds+f.ModTime%1e9)
}

// SetModified sets ModTime and Era.
func (f *Fingerprint) SetModified(t time.Time) {
	f.ModTime = t.Unix()*1e9 + int64(t.Nanosecond()) // modulo 2^64
	missing := float64(t.Unix()) - float64(f.ModTime/1e9)
	f.Era = int64(math.Round(missing / (eraSeconds + eraNanoseconds/1e9)))
}

// Entry is a file, directory or symlink of an upload.
type Entry struct {
	ID     int64 `db:"id"`
	Upload int64 `db:"upload"`
	Path   Path  `db:"path"`
	Fingerprint
	State EntryState `db:"state"`
	// Reason says why an entry is Changed, Failed or Unsupported. It is "" otherwise.
	Reason string `db:"reason"`
	// Origin is the unchanged entry of an earlier upload of the source whose content this one shares instead of
	// being prepared again. It is 0 if the entry has its own content.
	Origin int64 `db:"origin"`
}
