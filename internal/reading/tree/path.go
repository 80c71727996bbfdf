package tree

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ipfs/go-cid"
)

var (
	// ErrBadPath is returned for text that is not a path of a DAG.
	ErrBadPath = errors.New("not a path: write CID, CID/path, /ipfs/CID/path or ipfs://CID/path")
	// ErrOutside is returned if a symlink on the way leads out of the root.
	ErrOutside = errors.New("a symlink on the way leads out of the root")
	// ErrLoop is returned if there are too many symlinks on the way.
	ErrLoop = errors.New("too many symlinks on the way: they may form a cycle")
)

// Path names an entry by a root and the names that lead from the root to the entry.
type Path struct {
	Root  cid.Cid
	Names []string
}

// ParsePath parses "CID/path", "/ipfs/CID/path" or "ipfs://CID/path". In the last form "%" begins an escape, in
// the others it stands for itself. ParsePath returns ErrBadPath for any other text.
func ParsePath(text string) (Path, error) {
	rest, isURL := cutScheme(text)
	if !isURL {
		rest = strings.TrimPrefix(text, "/ipfs/")
	}

	root, names, _ := strings.Cut(rest, "/")
	parsed, err := cid.Decode(root)
	if err != nil {
		return Path{}, fmt.Errorf("%w: %q is not a CID", ErrBadPath, root)
	}

	path := Path{Root: parsed}

	for name := range strings.SplitSeq(names, "/") {
		if isURL {
			if strings.ContainsAny(name, "?#") {
				return Path{}, fmt.Errorf("%w: %q has a query or a fragment", ErrBadPath, text)
			}
			if name, err = url.PathUnescape(name); err != nil {
				return Path{}, fmt.Errorf("%w: %w", ErrBadPath, err)
			}
		}

		// Only an escape can have brought a slash into a name.
		if strings.ContainsAny(name, "/\x00") {
			return Path{}, fmt.Errorf("%w: a name can't contain %q", ErrBadPath, name)
		}

		if name != "" && name != "." {
			path.Names = append(path.Names, name)
		}
	}
	return path, nil
}

// cutScheme removes "ipfs://" in any case of letters.
func cutScheme(text string) (rest string, ok bool) {
	const scheme = "ipfs://"
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return text, false
	}
	return text[len(scheme):], true
}

func (p Path) String() string {
	return strings.Join(append([]string{p.Root.String()}, p.Names...), "/")
}

const (
	maxSymlinks = 40
	// maxTarget limits the length of the symlinks that are followed. No file system has longer ones.
	maxTarget = 1 << 16
)

// Resolved is the entry that a path leads to.
type Resolved struct {
	Node *Node
	// Names lead from the root to the entry, without symlinks on the way.
	Names []string
	// Link is the last link on the way. Its Size is a claim, see Link.
	Link Link
}

// Resolve finds the entry that a path leads to. It follows symlinks on the way inside the root, but not the last
// name. It returns ErrNoEntry, ErrOutside, ErrLoop, ErrMalformed or ErrUnsupported.
func Resolve(ctx context.Context, from Blocks, path Path) (Resolved, error) {
	root, err := Read(ctx, from, path.Root)
	if err != nil {
		return Resolved{}, err
	}

	r := resolver{from: from, way: []pathStep{{Link{CID: path.Root}, root}}, ahead: path.Names}
	for err == nil && len(r.ahead) > 0 {
		err = r.step(ctx)
	}

	if err != nil {
		return Resolved{}, fmt.Errorf("%s: %w", path, err)
	}

	last := r.way[len(r.way)-1]
	resolved := Resolved{Node: last.node, Link: last.link}
	// Symlinks were replaced on the way, so these names lead to the entry directly.
	for _, step := range r.way[1:] {
		resolved.Names = append(resolved.Names, step.link.Name)
	}
	return resolved, nil
}

type pathStep struct {
	link Link
	node *Node
}

// resolver follows a path. way leads from the root to the present node, ahead has the names that remain.
type resolver struct {
	from     Blocks
	way      []pathStep
	ahead    []string
	symlinks int
}

func (r *resolver) step(ctx context.Context) error {
	name := r.ahead[0]
	current := r.way[len(r.way)-1].node

	switch current.Kind {
	case Symlink:
		return r.follow(current)
	case File:
		return fmt.Errorf("%w: %q in a file", ErrNoEntry, name)
	}

	r.ahead = r.ahead[1:]

	switch {
	case name == "" || name == ".":
		return nil
	case name == "..":
		return r.back()
	case len(r.way) > MaxDepth:
		return malformed("directories are nested more than %d deep", MaxDepth)
	}

	link, err := current.Child(ctx, r.from, name)
	if err != nil {
		return err
	}

	node, err := Read(ctx, r.from, link.CID)
	r.way = append(r.way, pathStep{link, node})
	return err
}

func (r *resolver) back() error {
	if len(r.way) == 1 {
		return ErrOutside
	}
	r.way = r.way[:len(r.way)-1]
	return nil
}

// follow replaces a symlink on the way by its target.
func (r *resolver) follow(link *Node) error {
	r.symlinks++
	switch {
	case r.symlinks > maxSymlinks:
		return ErrLoop
	case len(r.way) == 1 || strings.HasPrefix(link.Target, "/"):
		return fmt.Errorf("%w: to %q", ErrOutside, link.Target)
	case len(link.Target) > maxTarget:
		return malformed("a symlink of %d bytes", len(link.Target))
	}

	r.way = r.way[:len(r.way)-1]
	r.ahead = append(strings.Split(link.Target, "/"), r.ahead...)
	return nil
}
