package source

import (
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Traits specify which parts of a file system's descriptions can be trusted.
type Traits struct {
	// NoInode and NoCtime are true if the file system makes up inodes or ctimes.
	NoInode, NoCtime bool
	// Remote is true if times come from another host's clock.
	Remote bool
	// Tick is the longest time for which the file system's clock may stand still. 0 stands for the tick of the
	// kernel's clock.
	Tick time.Duration
	// NoSize is true if lengths mean nothing, NoZero if a length of 0 means nothing.
	NoSize, NoZero bool
}

// Describer is implemented by an FS that knows the traits of the file system that contains a path. For any other
// FS, TraitsAt asks the operating system.
type Describer interface {
	Traits(path string) Traits
}

// TraitsAt returns the traits of the file system that contains path.
func TraitsAt(fsys FS, path string) Traits {
	if describer, ok := fsys.(Describer); ok {
		return describer.Traits(path)
	}
	return systemTraits(path)
}

const (
	// kernelTick is an upper bound of the steps of a kernel's clock for files: 10 ms, and as much again for
	// delays.
	kernelTick = 20 * time.Millisecond
	// remoteClock is the largest error assumed of another host's clock.
	remoteClock = 10 * time.Minute
)

// trusted removes the parts of a fingerprint that the file system makes up.
func (t Traits) trusted(f sqlrepo.Fingerprint) sqlrepo.Fingerprint {
	if t.NoInode {
		f.Inode = 0
	}
	if t.NoCtime {
		f.Ctime = 0
	}
	return f
}

// Unsaid reports whether a file may have another length than the file system reports.
func (t Traits) Unsaid(size int64) bool { return t.NoSize || t.NoZero && size == 0 }

// stamp returns the time that a change of the file's content would set.
func stamp(f sqlrepo.Fingerprint) time.Time {
	if f.Ctime != 0 {
		return time.Unix(0, f.Ctime)
	}
	return f.Modified()
}

// Tick returns an upper bound of the time in which a file can change twice with the same fingerprint, as far as
// the fingerprint itself shows. A time of whole seconds is taken as a sign of a file system that stores no
// fractions.
func Tick(f sqlrepo.Fingerprint) time.Duration {
	if stamp(f).Nanosecond() == 0 {
		return 2 * time.Second
	}
	return kernelTick
}

// proven reports whether any change after the time at would show in the fingerprint, which was taken then. A time
// in the future proves as much as one in the past, since a later write sets another time, unless a server's clock
// may be as far ahead.
func (t Traits) proven(f sqlrepo.Fingerprint, at time.Time) bool {
	margin, age := max(t.Tick, Tick(f)), at.Sub(stamp(f))
	if t.Remote {
		return age > margin+remoteClock
	}
	return age.Abs() > margin
}
