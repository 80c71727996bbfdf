package retrieve

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// The states of the place that an entry would be written to.
const (
	// New means that nothing is there.
	New = "new"
	// Present means that a directory is there, a symlink with the same target, or a file of the same length, whose content
	// was not compared.
	Present = "present"
	// Differs means that something else is there.
	Differs = "differs"
)

// Planned is an entry that would be written.
type Planned struct {
	// Path leads from the output to the entry. It is "." for the beginning of a tree.
	Path  string
	Node  *tree.Node
	State string
}

// ErrNothingSelected is returned if patterns say what is included, and nothing in a directory matches them.
var ErrNothingSelected = errors.New("no entry is selected")

// errFound ends a search.
var errFound = errors.New("found")

// requireSelected returns ErrNothingSelected if DryRun would. It reads the tree up to the first entry that is selected.
func (r *Retriever) requireSelected(ctx context.Context, from tree.Resolved, out string) error {
	look := *r
	look.Progress = nil
	_, err := look.DryRun(ctx, from, out, func(planned Planned) error {
		if planned.Path == top {
			return nil
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// top is the path of the beginning of a tree.
const top = "."

// DryRun calls show with each entry that To would write, in canonical order, and writes nothing. It reads no content of
// files. The summary counts what is present as kept. DryRun returns ErrNothingSelected if To does, after it has shown
// the directory.
func (r *Retriever) DryRun(ctx context.Context, from tree.Resolved, out string,
	show func(Planned) error) (sum Summary, err error) {
	outside, name, exists, err := topOf(from, out)
	if err != nil {
		return sum, err
	}

	var root *os.Root
	if exists {
		if root, err = os.OpenRoot(outside); err != nil {
			return sum, err
		}
		defer root.Close() //nolint:errcheck // nothing was written
	}

	plan := plan{Retriever: r, name: name, root: root, show: show}
	err = tree.Walk(ctx, r.Blocks, from.Node, func(e tree.Entry) error { return plan.visit(ctx, e) }, plan.leave)
	if err == nil && r.Select.Includes() && from.Node.Kind == tree.Directory && !plan.found {
		err = ErrNothingSelected
	}
	return plan.sum, err
}

// plan is one call of DryRun.
type plan struct {
	*Retriever
	// name is the name of the beginning of the tree in the directory root, which is nil if it does not exist.
	name string
	root *os.Root
	show func(Planned) error
	sum  Summary
	// found is true if an entry below the beginning of the tree is selected.
	found bool
	// passed holds the directories on the way to the visited entry that are only made if something in them is selected.
	passed []Planned
}

func (p *plan) visit(ctx context.Context, e tree.Entry) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}

	planned := Planned{Path: path.Join(p.name, path.Join(e.Names...)), Node: e.Node, State: New}
	if planned.Path == "" {
		planned.Path = top
	}

	isDir := e.Node.Kind == tree.Directory
	verdict := p.Select.Judge(sqlrepo.Path(strings.Join(e.Names, "\x00")), isDir)
	if verdict != selection.Skipped {
		p.Progress.Add(1, 0)
	}
	switch verdict {
	case selection.Skipped:
		if isDir {
			return tree.ErrSkip
		}
		return nil
	case selection.Passed:
		p.passed = append(p.passed, planned)
		return nil
	case selection.Selected:
	}

	for _, above := range p.passed {
		if err := p.add(above); err != nil {
			return err
		}
	}
	p.passed = p.passed[:0]
	return p.add(planned)
}

// leave forgets a directory in which nothing was selected. It is the last one if it is there at all.
func (p *plan) leave(e tree.Entry) error {
	if last := len(p.passed) - 1; last >= 0 && p.passed[last].Path == path.Join(p.name, path.Join(e.Names...)) {
		p.passed = p.passed[:last]
	}
	return nil
}

func (p *plan) add(planned Planned) (err error) {
	if p.root != nil {
		if planned.State, err = stateOf(p.root, planned.Path, planned.Node); err != nil {
			return err
		}
	}
	p.found = p.found || planned.Path != top
	p.sum.count(planned)
	return p.show(planned)
}

func (s *Summary) count(planned Planned) {
	size := int64(planned.Node.Size)
	switch planned.Node.Kind {
	case tree.Directory:
		s.Directories++
		return
	case tree.Symlink:
		s.Symlinks++
		return
	case tree.File:
	}

	s.Files++
	s.Bytes += size
	if planned.State == Present {
		s.Kept += size
	}
}

// stateOf returns the state of the place of an entry.
func stateOf(root *os.Root, path string, node *tree.Node) (string, error) {
	info, err := root.Lstat(path)
	var escapes *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return New, nil
	// A symlink or a file is in the place of a directory on the way.
	case errors.As(err, &escapes) && !errors.Is(err, fs.ErrPermission):
		return Differs, nil
	case err != nil:
		return "", err
	}

	same := false
	switch node.Kind {
	case tree.Directory:
		same = info.IsDir()
	case tree.Symlink:
		target, err := root.Readlink(path)
		same = err == nil && target == node.Target
	case tree.File:
		same = info.Mode().IsRegular() && info.Size() == int64(node.Size)
	}
	if same {
		return Present, nil
	}
	return Differs, nil
}
