//go:build !linux

package source

import (
	"os"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// mountKey is empty: guppy has no way to distinguish mounts on these systems.
type mountKey struct{}

func keyAt(int, string) (key mountKey, err error) { return key, nil }

func keyOf(path string) (key mountKey, err error) {
	_, err = os.Stat(path)
	return key, err
}

func (mountKey) sameMount(mountKey) bool { return true }

func (mountKey) known() bool { return false }

func (mountKey) onSameMount(mountKey) bool { return true }

func survey(path string) surveyed {
	return surveyed{Sighting: sqlrepo.Sighting{Path: path}}
}
