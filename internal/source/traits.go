package source

import (
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Traits are what a file system's descriptions of files are worth.
type Traits struct {
	// NoInode and NoCtime say that it makes up inodes or ctimes.
	NoInode, NoCtime bool
	// Remote says that times are those of another host's clock.
	Remote bool
	// Tick is the longest span in which its clock may stand still; 0 is that of the kernel's clock.
	Tick time.Duration
	// NoSize says that lengths mean nothing, NoZero that a length of 0 means nothing.
	NoSize, NoZero bool
}

// Describer is implemented by an FS that knows the traits of the file system that holds a path. For others the
// operating system is asked.
type Describer interface {
	Traits(path string) Traits
}

// TraitsAt returns the traits of the file system that holds a path.
func TraitsAt(fsys FS, path string) Traits {
	if describer, ok := fsys.(Describer); ok {
		return describer.Traits(path)
	}
	return systemTraits(path)
}

const (
	// kernelTick bounds the steps in which a kernel's clock for files goes: 10 ms, and as much again for its being late.
	kernelTick = 20 * time.Millisecond
	// remoteClock is how far another host's clock may be off.
	remoteClock = 10 * time.Minute
)

// trusted removes what the file system makes up.
func (t Traits) trusted(f sqlrepo.Fingerprint) sqlrepo.Fingerprint {
	if t.NoInode {
		f.Inode = 0
	}
	if t.NoCtime {
		f.Ctime = 0
	}
	return f
}

// Unsaid reports whether a file may have another length than the file system says.
func (t Traits) Unsaid(size int64) bool { return t.NoSize || t.NoZero && size == 0 }

// stamp is the time that a change of the file's content would set.
func stamp(f sqlrepo.Fingerprint) time.Time {
	if f.Ctime != 0 {
		return time.Unix(0, f.Ctime)
	}
	return f.Modified()
}

// Tick bounds the time in which a file can change twice with the same fingerprint, as far as that shows in itself: a
// time of whole seconds is taken for that of a file system which has no others.
func Tick(f sqlrepo.Fingerprint) time.Duration {
	if stamp(f).Nanosecond() == 0 {
		return 2 * time.Second
	}
	return kernelTick
}

// proven reports whether any change after a moment would show in the fingerprint that was taken then. A time in the
// future proves as much as one in the past, since what is written gets another, unless a server's clock may be as far
// ahead.
func (t Traits) proven(f sqlrepo.Fingerprint, at time.Time) bool {
	margin, age := max(t.Tick, Tick(f)), at.Sub(stamp(f))
	if t.Remote {
		return age > margin+remoteClock
	}
	return age.Abs() > margin
}
