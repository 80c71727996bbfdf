package source

import (
	"errors"
	"fmt"
)

// ErrBadSymlinkPolicy is returned for a name that no symlink policy has.
var ErrBadSymlinkPolicy = errors.New("unknown symlink policy")

// SymlinkPolicy says what becomes of symlinks below a source's root. The root itself is always followed.
type SymlinkPolicy int

// The symlink policies.
const (
	// PreserveSymlinks keeps symlinks as symlinks.
	PreserveSymlinks SymlinkPolicy = iota
	// FollowSymlinks puts what a symlink leads to in its place.
	FollowSymlinks
	// SkipSymlinks leaves symlinks out.
	SkipSymlinks
)

// ParseSymlinkPolicy is the inverse of String. It returns ErrBadSymlinkPolicy for other names.
func ParseSymlinkPolicy(name string) (SymlinkPolicy, error) {
	for _, p := range []SymlinkPolicy{PreserveSymlinks, FollowSymlinks, SkipSymlinks} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w %q: choose preserve, follow or skip", ErrBadSymlinkPolicy, name)
}

// String is the name that ParseSymlinkPolicy takes.
func (p SymlinkPolicy) String() string {
	switch p {
	case PreserveSymlinks:
		return "preserve"
	case FollowSymlinks:
		return "follow"
	case SkipSymlinks:
		return "skip"
	}
	return "unknown"
}

// Options say how a source is scanned. The zero value preserves symlinks and excludes nothing.
type Options struct {
	Excludes *Excludes
	Symlinks SymlinkPolicy
	// Readers is how many calls to the file system may be under way at once; less than one means DefaultReaders.
	Readers int
	// Doubt has the length of each empty file found out by reading it.
	Doubt bool
}

// ParseOptions compiles patterns and a policy. It returns ErrBadPattern or ErrBadSymlinkPolicy for what is neither.
func ParseOptions(excludes []string, policy string) (options Options, err error) {
	if options.Excludes, err = ParseExcludes(excludes); err != nil {
		return Options{}, err
	}
	options.Symlinks, err = ParseSymlinkPolicy(policy)
	return options, err
}

// DefaultReaders hides the latency of a network file system without flooding it.
const DefaultReaders = 16

func (o Options) readers() int {
	if o.Readers < 1 {
		return DefaultReaders
	}
	return o.Readers
}
