package unixfs

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownProfile is returned for the name or value of a profile that does not exist.
var ErrUnknownProfile = errors.New("unknown UnixFS profile")

// Profile is a recipe that determines the CIDs of a tree. Profiles differ in the layout of files with more than
// 1024 chunks and in the size at which a directory becomes a HAMT. Everything else is the same. The zero value is
// not a profile.
type Profile uint8

const (
	// UnixFSv1_2025 is the profile unixfs-v1-2025 of IPIP-0499, as boxo builds it.
	UnixFSv1_2025 Profile = iota + 1
	// Guppy is the recipe of go-unixfsnode's builder with 1024 links a block.
	Guppy
)

var profileNames = [...]string{UnixFSv1_2025: "unixfs-v1-2025", Guppy: "guppy"}

// Profiles returns the names of all profiles, with the default first.
func Profiles() []string {
	return append([]string(nil), profileNames[1:]...)
}

// ParseProfile returns the profile of that name. Otherwise it returns ErrUnknownProfile with the allowed names in
// its message.
func ParseProfile(name string) (Profile, error) {
	for i, known := range Profiles() {
		if name == known {
			return Profile(i + 1), nil
		}
	}
	return 0, fmt.Errorf("%w %q: use one of %s", ErrUnknownProfile, name, strings.Join(Profiles(), ", "))
}

// String returns the name that ParseProfile accepts.
func (p Profile) String() string {
	if p.check() != nil {
		return fmt.Sprintf("Profile(%d)", uint8(p))
	}
	return profileNames[p]
}

func (p Profile) check() error {
	if p == 0 || int(p) >= len(profileNames) {
		return fmt.Errorf("%w: number %d", ErrUnknownProfile, uint8(p))
	}
	return nil
}

// lifts reports whether the single child of an unfilled file node takes that node's place.
func (p Profile) lifts() bool { return p == Guppy }

// hamtThreshold is the largest size, as the profile measures it, of a directory in one block.
const hamtThreshold = 256 << 10

// directorySize returns the size that the profile compares with hamtThreshold: either the size of the whole block,
// or the size of names and CIDs.
func (p Profile) directorySize(block, names int64) int64 {
	if p == Guppy {
		return names
	}
	return block
}
