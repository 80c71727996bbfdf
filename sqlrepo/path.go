package sqlrepo

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// ErrBadPath is returned for a relative path that no entry can have.
var ErrBadPath = errors.New("not a path of an entry")

// Path is an entry's path relative to its source: any bytes that a file system allows, with NUL in place of each
// separator. The source itself has the empty path. The byte order of paths is the canonical order (depth-first,
// names in byte order) on every engine: a directory precedes its content, and its content precedes its next
// sibling.
type Path string

const pathSeparator = "\x00"

// ParsePath encodes a relative path whose separator is "/". "" and "." are the source itself. It returns ErrBadPath for
// absolute paths, NUL bytes, and empty, "." or ".." components.
func ParsePath(relative string) (Path, error) {
	if relative == "" || relative == "." {
		return "", nil
	}
	if strings.Contains(relative, pathSeparator) {
		return "", fmt.Errorf("%q holds a NUL byte: %w", relative, ErrBadPath)
	}
	for name := range strings.SplitSeq(relative, "/") {
		if name == "" || name == "." || name == ".." {
			return "", fmt.Errorf("%q holds the component %q: %w", relative, name, ErrBadPath)
		}
	}
	return Path(strings.ReplaceAll(relative, "/", pathSeparator)), nil
}

// Join returns the path of the child with this name.
func (p Path) Join(name string) Path {
	if p == "" {
		return Path(name)
	}
	return p + pathSeparator + Path(name)
}

// Name returns the last component, "" for the source itself.
func (p Path) Name() string {
	return string(p[strings.LastIndexByte(string(p), 0)+1:])
}

// Parent returns the path of the directory that holds p. The source is its own parent.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), 0); i >= 0 {
		return p[:i]
	}
	return ""
}

// Contains reports whether other lies below p.
func (p Path) Contains(other Path) bool {
	if p == "" {
		return other != ""
	}
	return len(other) > len(p) && other[len(p)] == 0 && other[:len(p)] == p
}

// Components returns the names from the source down to p.
func (p Path) Components() []string {
	if p == "" {
		return nil
	}
	return strings.Split(string(p), pathSeparator)
}

// String returns the path with "/" between its components, "." for the source itself.
func (p Path) String() string {
	if p == "" {
		return "."
	}
	return strings.ReplaceAll(string(p), pathSeparator, "/")
}

// Value returns the path as bytes.
func (p Path) Value() (driver.Value, error) { return []byte(p), nil }

// Scan reads a path that Value stored.
func (p *Path) Scan(column any) error {
	raw, err := columnBytes(column)
	*p = Path(raw)
	return err
}
