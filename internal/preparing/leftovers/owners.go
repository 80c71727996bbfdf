package leftovers

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Owner returns the owner of files that are begun under a claim. It is unique among all users of the store.
func Owner(space sqlrepo.Space, upload, token int64) string {
	return fmt.Sprintf("%s%d-%d", ofSpace(space), upload, token)
}

// ofSpace returns the prefix of the owners of all claims of a space.
func ofSpace(space sqlrepo.Space) string { return trash.Owner(space) + "-" }

// These are the prefixes of the owners of files that a process begins outside of all claims.
const (
	ofCopies  = "copy-"
	ofIndexes = "index-"
)

// CopyOwner returns the owner of files that this process begins for one copy of a store.
func CopyOwner() string { return ofProcess(ofCopies) }

// IndexOwner returns the owner of indexes that this process makes outside of a run.
func IndexOwner() string { return ofProcess(ofIndexes) }

func ofProcess(prefix string) string { return prefix + presence.Tag() + "." + rand.Text() }

// isOfTheDead reports whether the process that has begun a file outside of all claims is known to be gone.
func isOfTheDead(owner string) bool {
	_, tag, _ := strings.Cut(owner, "-")
	return presence.IsGone(tag[:max(0, strings.LastIndexByte(tag, '.'))])
}
