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
	// ErrBadPath is returned for what is no path of a DAG.
	ErrBadPath = errors.New("not a path: write CID, CID/path, /ipfs/CID/path or ipfs://CID/path")
	// ErrOutside is returned for a symlink on the way that leads out of the root.
	ErrOutside = errors.New("a symlink on the way leads out of the root")
	// ErrLoop is returned when there are too many symlinks on the way.
	ErrLoop = errors.New("too many symlinks on the way: they may lead in a circle")
)

// Path names an entry by the root from which names lead to it.
type Path struct {
	Root  cid.Cid
	Names []string
}

// ParsePath reads "CID/path", "/ipfs/CID/path" or "ipfs://CID/path"; in the last form "%" begins an escape, in the
// others it stands for itself. It returns ErrBadPath.
func ParsePath(text string) (Path, error) {
	rest, isURL := cutScheme(text)
	if !isURL {
		rest = strings.TrimPrefix(text, "/ipfs/")
	}
	root, names, _ := strings.Cut(rest, "/")
	parsed, err := cid.Decode(root)
	if err != nil {
		return Path{}, fmt.Errorf("%w: %q is no CID", ErrBadPath, root)
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
		if strings.ContainsAny(name, "/\x00") {
			return Path{}, fmt.Errorf("%w: no name holds %q", ErrBadPath, name)
		}
		if name != "" && name != "." {
			path.Names = append(path.Names, name)
		}
	}
	return path, nil
}

// cutScheme removes "ipfs://", in any case of letters.
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
	// maxTarget bounds the symlinks that are followed; no file system has longer ones.
	maxTarget = 1 << 16
)

// Resolved is where a path leads to.
type Resolved struct {
	Node *Node
	// Names lead there from the root without symlinks on the way.
	Names []string
	// Size is what the last link claims, see Link.
	Link Link
}

// Resolve goes along a path. Symlinks on the way are followed inside the root; the last name may be one and is not. It
// returns ErrNoEntry, ErrOutside, ErrLoop, ErrMalformed or ErrUnsupported.
func Resolve(ctx context.Context, from Blocks, path Path) (Resolved, error) {
	root, err := Read(ctx, from, path.Root)
	if err != nil {
		return Resolved{}, err
	}
	r := resolver{from: from, way: []step{{Link{CID: path.Root}, root}}, ahead: path.Names}
	for err == nil && len(r.ahead) > 0 {
		err = r.step(ctx)
	}
	if err != nil {
		return Resolved{}, fmt.Errorf("%s: %w", path, err)
	}
	last := r.way[len(r.way)-1]
	resolved := Resolved{Node: last.node, Link: last.link}
	for _, step := range r.way[1:] {
		resolved.Names = append(resolved.Names, step.link.Name)
	}
	return resolved, nil
}

type step struct {
	link Link
	node *Node
}

// resolver is on its way from a root to the names ahead.
type resolver struct {
	from     Blocks
	way      []step
	ahead    []string
	symlinks int
}

func (r *resolver) step(ctx context.Context) error {
	name := r.ahead[0]
	here := r.way[len(r.way)-1].node
	switch here.Kind {
	case Symlink:
		return r.follow(here)
	case File:
		return fmt.Errorf("%w: %q, as a file has none", ErrNoEntry, name)
	}
	r.ahead = r.ahead[1:]
	switch {
	case name == "" || name == ".":
		return nil
	case name == "..":
		return r.back()
	case len(r.way) > MaxDepth:
		return malformed("directories lie more than %d deep in each other", MaxDepth)
	}
	link, err := here.Child(ctx, r.from, name)
	if err != nil {
		return err
	}
	node, err := Read(ctx, r.from, link.CID)
	r.way = append(r.way, step{link, node})
	return err
}

func (r *resolver) back() error {
	if len(r.way) == 1 {
		return ErrOutside
	}
	r.way = r.way[:len(r.way)-1]
	return nil
}

// follow puts what a symlink holds in place of it.
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
