package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// file corrects the entry of a file for the traits of its file system: it drops what the file system makes up,
// and reads the file for its length if the file system does not say it.
func (in *inspector) file(entry sqlrepo.Entry, osPath string, look func(string) (fs.FileInfo, error), info fs.FileInfo,
	at time.Time) sqlrepo.Entry {
	device, _, _ := identity(info)
	traits := in.traitsOf(device, osPath)
	entry.Fingerprint = in.settled(traits.trusted(entry.Fingerprint), traits, osPath, look, at)

	unsaid := traits.Unsaid(entry.Size) || in.opts.Doubt && entry.Size == 0
	if !unsaid {
		return entry
	}

	size, err := Length(in.fsys, osPath)
	if err != nil {
		return failed(entry.Path, entry.Fingerprint, Reason(err)).Entry
	}

	entry.Size = size
	return entry
}

// directory corrects the entry of a directory, before it is listed, for the traits of its file system. The clock
// of another host is trusted here: otherwise each run would scan a NAS in use twice.
func (in *inspector) directory(entry sqlrepo.Entry, osPath string, look func(string) (fs.FileInfo, error),
	info fs.FileInfo, at time.Time) sqlrepo.Entry {
	device, _, _ := identity(info)
	traits := in.traitsOf(device, osPath)
	traits.Remote = false
	entry.Fingerprint = in.settled(traits.trusted(entry.Fingerprint), traits, osPath, look, at)
	return entry
}

// traitsOf returns the traits of the file system on device, which holds osPath.
func (in *inspector) traitsOf(device uint64, osPath string) Traits {
	if known, ok := in.traits.Load(device); ok {
		return known.(Traits)
	}
	traits := TraitsAt(in.fsys, osPath)
	in.traits.Store(device, traits)
	return traits
}

// settled marks the fingerprint as Unproven if the entry can still change without a change of its fingerprint.
// Where the clock advances in small steps, settled waits for the next step instead and looks again: if the
// fingerprint is the same then, any later change will show.
func (in *inspector) settled(found sqlrepo.Fingerprint, traits Traits, osPath string,
	look func(string) (fs.FileInfo, error), at time.Time) sqlrepo.Fingerprint {
	if traits.proven(found, at) {
		return found
	}

	found.Unproven = true
	// Waiting does not help with another host's clock, and takes too long with a coarse one.
	if traits.Remote || max(traits.Tick, Tick(found)) > kernelTick {
		return found
	}

	time.Sleep(kernelTick)
	info, err := look(osPath)
	if err != nil {
		return found
	}

	again := traits.trusted(Fingerprint(info, nil))
	found.Unproven = false
	if (Comparison{}).Difference(found, again) != "" {
		found.Unproven = true
	}
	return found
}

const (
	// maxUnsaid is the most that is read of a file to learn a length that the file system does not say.
	maxUnsaid = 1 << 30
	// unsaidTime is the longest time that reading such a file may take.
	unsaidTime = 5 * time.Second
)

// errNoEnd is the reason why a file of unknown length is not prepared.
var errNoEnd = errors.New("its file system does not report its length, and no end was found")

// Length reads a file to its end and returns its length, whatever length the file system reports.
func Length(fsys FS, osPath string) (n int64, err error) {
	file, err := fsys.Open(osPath)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	// A file that blocks, such as trace_pipe in tracefs, must not hold up the scan.
	if timed, ok := file.(interface{ SetReadDeadline(time.Time) error }); ok {
		if err := timed.SetReadDeadline(time.Now().Add(unsaidTime)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
			return 0, err
		}
	}

	n, err = io.Copy(io.Discard, io.LimitReader(file, maxUnsaid))
	if err == nil && n == maxUnsaid {
		err = fmt.Errorf("%w within %d bytes", errNoEnd, n)
	}
	return n, err
}
