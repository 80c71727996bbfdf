package store

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
)

// Temporary files are named for their owner, so that each worker finds its own again.
const (
	temporaryPrefix = ".guppy-"
	temporarySuffix = ".tmp"
)

// temporaryPattern is what durable.CreateTemp makes a name of: it puts decimal digits in place of the star.
func temporaryPattern(owner string) (string, error) {
	return temporaryPrefix + owner + "-*" + temporarySuffix, checkOwner(owner)
}

func checkOwner(owner string) error {
	if !validOwner(owner) {
		return fmt.Errorf("%q can't be the owner of a blob: only letters, digits, \"-\" and \".\" are allowed", owner)
	}
	return nil
}

// checkName keeps out what is no name of a blob: names lie in no other directory, and those with a dot are guppy's own.
func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return &fs.PathError{Op: "use", Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// isContentName tells whether a name is that of a shard or an index: a CID with an extension. Whatever else is in a
// bucket may be somebody else's.
func isContentName(name string) bool {
	text, extension, _ := strings.Cut(name, ".")
	parsed, err := cid.Decode(text)
	return err == nil && parsed.Type() == car.Codec && parsed.String() == text &&
		(extension == "car" || extension == "idx")
}

// againAs is the error of a blob that is to have a second name.
func againAs(name, other string) error {
	return fmt.Errorf("%s can't be committed again as %s", name, other)
}

// temporaryOwner tells whose temporary file has this name. An owner may have any number of "-" in it, the digits behind
// the last one are not its own.
func temporaryOwner(name string) (owner string, ok bool) {
	rest, begins := strings.CutPrefix(name, temporaryPrefix)
	rest, ends := strings.CutSuffix(rest, temporarySuffix)
	dash := strings.LastIndexByte(rest, '-')
	if !begins || !ends || dash < 0 || dash == len(rest)-1 || strings.Trim(rest[dash+1:], "0123456789") != "" {
		return "", false
	}
	return rest[:dash], validOwner(rest[:dash])
}

func validOwner(owner string) bool {
	foreign := func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && (r < '0' || '9' < r) && r != '-' && r != '.'
	}
	return owner != "" && !strings.ContainsFunc(owner, foreign)
}
