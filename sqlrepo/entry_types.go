package sqlrepo

// EntryKind says what an entry is. The values are stored.
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
	// Changed entries differed from their fingerprint when they were read, once, and wait to be scanned again.
	Changed
	// Rescanned entries were Changed and scanned again; the next difference makes them Failed.
	Rescanned
	// Failed entries could not be prepared, for Reason.
	Failed
	// Unsupported entries have no representation in UnixFS, for Reason; leaving them out is no failure.
	Unsupported
	// Unreachable entries lie below a directory that can't be read now, which is Failed. Their content stays.
	Unreachable
)

// Fingerprint tells whether an entry changed since it was scanned.
type Fingerprint struct {
	Kind EntryKind `db:"kind"`
	// Size is a file's length in bytes, 0 for other kinds.
	Size int64 `db:"size"`
	// ModTime is in nanoseconds since 1970 UTC.
	ModTime int64 `db:"mtime_ns"`
	// Mode is st_mode & 07777.
	Mode int32 `db:"permissions"`
	// Target is what a symlink holds, nil for other kinds.
	Target []byte `db:"target"`
}

// Entry is a file, directory or symlink of an upload.
type Entry struct {
	ID     int64 `db:"id"`
	Upload int64 `db:"upload"`
	Path   Path  `db:"path"`
	Fingerprint
	State EntryState `db:"state"`
	// Reason says why an entry is Changed, Failed or Unsupported, "" else.
	Reason string `db:"reason"`
	// Origin is the unchanged entry of an earlier upload of the source whose content this one shares, so that it is not
	// prepared again; 0 when its content is its own.
	Origin int64 `db:"origin"`
}
