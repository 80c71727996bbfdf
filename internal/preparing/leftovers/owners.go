package leftovers

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Owner marks what is begun under a claim, among all that use the store.
func Owner(space sqlrepo.Space, upload, token int64) string {
	return fmt.Sprintf("%s%d-%d", ofSpace(space), upload, token)
}

// ofSpace begins the owners of the claims of a space.
func ofSpace(space sqlrepo.Space) string { return trash.Owner(space) + "-" }

// ofCopies begins the owners of what copies of stores begin.
const ofCopies = "copy-"

// CopyOwner marks what this process begins for one copy of a store.
func CopyOwner() string { return ofCopies + presence.Tag() + "." + rand.Text() }

// isCopyOfTheDead reports whether the process of a copy is known to be gone.
func isCopyOfTheDead(owner string) bool {
	tag := strings.TrimPrefix(owner, ofCopies)
	return presence.IsGone(tag[:max(0, strings.LastIndexByte(tag, '.'))])
}
