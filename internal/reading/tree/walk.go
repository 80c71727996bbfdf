package tree

import (
	"context"
	"errors"
	"strings"
)

// ErrSkip makes Walk skip what is below a directory.
var ErrSkip = errors.New("skip what is below")

// MaxDepth limits the depth of directories in each other. The longest path of an upload is as deep.
const MaxDepth = 1300

// MostBytes is more than any DAG has. A link that claims more is wrong.
const MostBytes = 1 << 60

// MaxLinks limits the links that lead from a root to a block. Directories may be HAMTs of several levels.
const MaxLinks = 8 * MaxDepth

// Entry is a file, directory or symlink of a tree that is being walked.
type Entry struct {
	// Names lead from the beginning of the walk to the entry. They are valid until the visit is over.
	Names []string
	// Link leads to the entry. The link of the first entry has no name.
	Link Link
	Node *Node
	// Children are the entries of a directory, sorted by their names.
	Children []Link
}

// Path returns the path of the entry, or "." for the first entry.
func (e Entry) Path() string {
	if len(e.Names) == 0 {
		return "."
	}
	return strings.Join(e.Names, "/")
}

// Walk visits a node and all entries below it in canonical order: depth first, names in byte order, directories
// before their entries. It calls leave, if not nil, after everything below a directory. It goes on behind a directory
// for which visit returns ErrSkip. Memory grows with the names of the directories on the way to an entry.
func Walk(ctx context.Context, from Blocks, root *Node, visit, leave func(Entry) error) error {
	w := walk{from: from, visit: visit, leave: leave}
	return w.entry(ctx, Link{CID: root.CID}, root)
}

type walk struct {
	from         Blocks
	names        []string
	visit, leave func(Entry) error
}

func (w *walk) entry(ctx context.Context, link Link, node *Node) (err error) {
	entry := Entry{Names: w.names, Link: link, Node: node}
	if node.Kind != Directory {
		return w.visit(entry)
	}

	if len(w.names) >= MaxDepth {
		return malformed("directories are nested more than %d deep", MaxDepth)
	}

	if entry.Children, err = node.Children(ctx, w.from); err != nil {
		return err
	}

	err = w.visit(entry)
	if errors.Is(err, ErrSkip) {
		return nil
	}
	if err != nil {
		return err
	}

	if err := w.below(ctx, entry.Children); err != nil {
		return err
	}

	if w.leave == nil {
		return nil
	}
	return w.leave(entry)
}

func (w *walk) below(ctx context.Context, children []Link) error {
	depth := len(w.names)
	defer func() { w.names = w.names[:depth] }()
	// The deeper the directory, the fewer nodes are read at once, because all levels hold theirs at the same time.
	return kinds(ctx, w.from, children, max(1, fetchedAtOnce>>depth), func(i int, node *Node) error {
		w.names = append(w.names[:depth], children[i].Name)
		return w.entry(ctx, children[i], node)
	})
}
