package store

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
)

// The names of temporary files contain their owner, so that each worker finds its own again.
const (
	temporaryPrefix = ".guppy-"
	temporarySuffix = ".tmp"
)

// temporaryPattern returns the pattern of an owner for durable.CreateTemp, which replaces the star with decimal
// digits.
func temporaryPattern(owner string) (string, error) {
	return temporaryPrefix + owner + "-*" + temporarySuffix, checkOwner(owner)
}

func checkOwner(owner string) error {
	if !validOwner(owner) {
		return fmt.Errorf("%q can't be the owner of a blob: only letters, digits, \"-\" and \".\" are allowed", owner)
	}
	return nil
}

// checkName returns fs.ErrInvalid for an invalid name of a blob. Names contain no directories, and names that
// begin with a dot are guppy's own.
func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return &fs.PathError{Op: "use", Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// isContentName reports whether a name is a name of a shard or an index: a CID with an extension. Anything else
// in a bucket may belong to somebody else.
func isContentName(name string) bool {
	text, extension, _ := strings.Cut(name, ".")
	parsed, err := cid.Decode(text)
	return err == nil && parsed.Type() == car.Codec && parsed.String() == text &&
		(extension == "car" || extension == "idx")
}

// againAs returns the error for a second name for a committed blob.
func againAs(name, other string) error {
	return fmt.Errorf("%s can't be committed again as %s", name, other)
}

// temporaryOwner returns the owner of the temporary file with this name. The owner may contain any number of "-";
// the digits after the last one do not belong to it.
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
