package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// checkSpaceName refuses names for a space that could be taken for something else, or that are not printable.
func checkSpaceName(name string) error {
	if name == "" || len(name) > 255 || strings.HasPrefix(name, "did:") || !allPrintable(name) {
		return fmt.Errorf("%w: %q is not a name for a space: use 1 to 255 printable characters, and no DID", errUsage, name)
	}
	return checkNewName("space", name)
}

// checkNewName refuses names, of a space or a source, of which a part between slashes is what names an upload: photos/7
// would be upload 7 of the space photos, or the space photos/7. Names that are there already are not checked.
func checkNewName(kind, name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if what := otherMeaning(part); what != "" {
			return fmt.Errorf("%w: %q is not a name for a %s: %q is %s", errUsage, name, kind, part, what)
		}
	}
	return nil
}

// otherMeaning returns what a part of a name means elsewhere on a command line, or "".
func otherMeaning(part string) string {
	if isNumber(part) {
		return "the number of an upload"
	}
	if strings.EqualFold(part, latestUpload) {
		return "the latest upload of a space"
	}
	if _, err := cid.Decode(part); err == nil {
		return "a CID"
	}
	return ""
}

// sourceName returns the name that the path of a source suggests.
func sourceName(path string) string {
	name := sqlrepo.Text(filepath.Base(path))
	if checkNewName("source", name) != nil {
		return "source-" + name
	}
	return name
}
