package source

import (
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Comparison specifies how two fingerprints of an entry are compared.
type Comparison struct {
	// IgnoreInode and IgnoreCtime exclude inodes and ctimes, for file systems that make them up.
	IgnoreInode, IgnoreCtime bool
	// Window is the largest difference between two times that count as the same.
	Window time.Duration
}

// ComparisonOf returns the comparison that an upload uses.
func ComparisonOf(u sqlrepo.Upload) Comparison {
	return Comparison{u.IgnoreInode, u.IgnoreCtime, time.Duration(u.MtimeWindow)}
}

// Recognition returns a comparison of what stays the same when a source is mounted elsewhere.
func (c Comparison) Recognition() Comparison {
	return Comparison{IgnoreInode: true, IgnoreCtime: true, Window: c.Window}
}

// Difference returns the reason why an entry's content may have changed between two fingerprints, or "" if
// nothing suggests a change.
func (c Comparison) Difference(was, now sqlrepo.Fingerprint) string {
	switch {
	case now.Kind != was.Kind:
		return fmt.Sprintf("it is a %s now", now.Kind)
	case now.Size != was.Size:
		return fmt.Sprintf("its length was %d and is %d", was.Size, now.Size)
	case string(now.Target) != string(was.Target):
		return fmt.Sprintf("it led to %q and leads to %q", was.Target, now.Target)
	case now.Kind != sqlrepo.File && now.Mode != was.Mode:
		return "its mode changed"
	case (now.ModTime != was.ModTime || now.Era != was.Era) && !c.sameTime(was.Modified(), now.Modified()):
		return "it was modified"
	case !c.IgnoreInode && was.Inode != 0 && now.Inode != 0 && now.Inode != was.Inode:
		return "it was replaced by another file of the same length and time"
	case !c.IgnoreCtime && now.Kind == sqlrepo.File && c.unexplained(was, now):
		return "it changed, though its length and time are the same"
	}
	return ""
}

// SameDirectory reports whether a directory still has the names that it had under an earlier fingerprint. A
// change of the names always changes the directory's ctime too.
func (c Comparison) SameDirectory(was, now sqlrepo.Fingerprint) bool {
	if now.Kind != was.Kind || was.Unproven || now.ModTime != was.ModTime || now.Era != was.Era {
		return false
	}

	return c.IgnoreCtime || was.Ctime == 0 || now.Ctime == 0 || now.Ctime == was.Ctime
}

// unexplained reports whether a file's ctime changed without a change of mode that could explain it: its
// attributes or content changed. A change of content goes unnoticed if the file is also back-dated and given
// another mode.
func (c Comparison) unexplained(was, now sqlrepo.Fingerprint) bool {
	return was.Ctime != 0 && now.Ctime != 0 && was.Ctime != now.Ctime && was.Mode == now.Mode &&
		!c.sameTime(time.Unix(0, was.Ctime), time.Unix(0, now.Ctime))
}

// cuts are the units to which SMB and NTFS, some NFS servers and old file systems truncate times. Two seconds are
// not among them: a file that is written again after one second must differ.
var cuts = []time.Duration{100, time.Microsecond, time.Second}

// sameTime reports whether two times are at most the window apart, or one is the other truncated by a protocol.
func (c Comparison) sameTime(a, b time.Time) bool {
	if b.Before(a) {
		a, b = b, a
	}

	if b.Sub(a) <= c.Window {
		return true
	}

	for _, cut := range cuts {
		if b.Truncate(cut).Equal(a) {
			return true
		}
	}
	return false
}
