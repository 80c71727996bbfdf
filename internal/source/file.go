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

// file completes what is known of a file by what its file system is worth.
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

// directory completes what is known of a directory before it is listed. Another host's clock is taken for right: if
// that were doubted, a NAS in use would be scanned twice by each run.
func (in *inspector) directory(entry sqlrepo.Entry, osPath string, look func(string) (fs.FileInfo, error),
	info fs.FileInfo, at time.Time) sqlrepo.Entry {
	device, _, _ := identity(info)
	traits := in.traitsOf(device, osPath)
	traits.Remote = false
	entry.Fingerprint = in.settled(traits.trusted(entry.Fingerprint), traits, osPath, look, at)
	return entry
}

func (in *inspector) traitsOf(device uint64, osPath string) Traits {
	if known, ok := in.traits.Load(device); ok {
		return known.(Traits)
	}
	traits := TraitsAt(in.fsys, osPath)
	in.traits.Store(device, traits)
	return traits
}

// settled marks a fingerprint that proves nothing yet as Unproven. Where the clock goes in small steps it waits for the
// next one instead and looks again: what is the same then proves that nothing can have changed unseen.
func (in *inspector) settled(found sqlrepo.Fingerprint, traits Traits, osPath string,
	look func(string) (fs.FileInfo, error), at time.Time) sqlrepo.Fingerprint {
	if traits.proven(found, at) {
		return found
	}
	found.Unproven = true
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
	// maxUnsaid is how much is read of a file at most to learn its length, which the file system does not say.
	maxUnsaid = 1 << 30
	// unsaidTime is how long a read of such a file may wait for more.
	unsaidTime = 5 * time.Second
)

// errNoEnd is why a file whose length is not said is not prepared.
var errNoEnd = errors.New("its file system does not say its length, and no end was found")

// Length reads a file to its end and returns its length, whatever the file system says that it is.
func Length(fsys FS, osPath string) (n int64, err error) {
	file, err := fsys.Open(osPath)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
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
