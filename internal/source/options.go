package source

import (
	"errors"
	"fmt"
)

// ErrBadSymlinkPolicy is returned for an unknown name of a symlink policy.
var ErrBadSymlinkPolicy = errors.New("unknown symlink policy")

// SymlinkPolicy specifies how symlinks below a source's root are treated. The root itself is always followed.
type SymlinkPolicy int

// The symlink policies.
const (
	// PreserveSymlinks keeps symlinks as symlinks.
	PreserveSymlinks SymlinkPolicy = iota
	// FollowSymlinks replaces each symlink with the file or directory that it leads to.
	FollowSymlinks
	// SkipSymlinks leaves symlinks out.
	SkipSymlinks
)

// ParseSymlinkPolicy returns the policy with the given name, as returned by String. It returns
// ErrBadSymlinkPolicy for any other name.
func ParseSymlinkPolicy(name string) (SymlinkPolicy, error) {
	for _, p := range []SymlinkPolicy{PreserveSymlinks, FollowSymlinks, SkipSymlinks} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w %q: choose preserve, follow or skip", ErrBadSymlinkPolicy, name)
}

// String returns the name of the policy.
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

// Options specify how a source is scanned. The zero value preserves symlinks and excludes nothing.
type Options struct {
	Excludes *Excludes
	Symlinks SymlinkPolicy
	// Readers is the number of calls to the file system that may be under way at once. Less than one means
	// DefaultReaders.
	Readers int
	// Doubt is true if empty files are read to determine their length.
	Doubt bool
}

// ParseOptions compiles exclude patterns and parses the name of a symlink policy. It returns ErrBadPattern or
// ErrBadSymlinkPolicy for invalid ones.
func ParseOptions(excludes []string, policy string) (options Options, err error) {
	if options.Excludes, err = ParseExcludes(excludes); err != nil {
		return Options{}, err
	}
	options.Symlinks, err = ParseSymlinkPolicy(policy)
	return options, err
}

// DefaultReaders is enough to hide the latency of a network file system without flooding it.
const DefaultReaders = 16

func (o Options) readers() int {
	if o.Readers < 1 {
		return DefaultReaders
	}
	return o.Readers
}
