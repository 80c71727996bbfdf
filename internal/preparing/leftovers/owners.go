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

// ofCopies is the prefix of the owners of copies of stores.
const ofCopies = "copy-"

// CopyOwner returns the owner of files that this process begins for one copy of a store.
func CopyOwner() string { return ofCopies + presence.Tag() + "." + rand.Text() }

// isCopyOfTheDead reports whether the process of a copy is known to be gone.
func isCopyOfTheDead(owner string) bool {
	tag := strings.TrimPrefix(owner, ofCopies)
	return presence.IsGone(tag[:max(0, strings.LastIndexByte(tag, '.'))])
}
