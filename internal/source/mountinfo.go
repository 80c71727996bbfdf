package source

import (
	"bufio"
	"cmp"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// mount is a line of /proc/self/mountinfo.
type mount struct {
	id, parent uint64
	device     string // MAJOR:MINOR
	root       string // the directory of the file system that is mounted at point
	point      string
	kind       string
	origin     string
	options    string // the options of the file system, not of the mount
}

// mountTable holds the mounts that a process sees, in the order in which they were made.
type mountTable []mount

// parseMounts reads the contents of /proc/self/mountinfo. It skips lines that it does not understand.
func parseMounts(r io.Reader) (table mountTable, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // an overlay's options name all its layers
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok {
			table = append(table, m)
		}
	}
	return table, lines.Err()
}

// parseMount parses one line.
func parseMount(line string) (m mount, ok bool) {
	place, origin, ok := strings.Cut(line, " - ")
	// Only single spaces separate fields: other white space is part of names.
	left, right := strings.Split(place, " "), strings.Split(origin, " ")
	if !ok || len(left) < 6 {
		return m, false
	}

	id, idErr := strconv.ParseUint(left[0], 10, 64)
	parent, parentErr := strconv.ParseUint(left[1], 10, 64)

	m = mount{id: id, parent: parent, device: left[2], root: unescape(left[3]), point: unescape(left[4]),
		kind: unescape(right[0])}
	if len(right) > 2 {
		m.origin, m.options = unescape(right[1]), unescape(right[2])
	}

	return m, idErr == nil && parentErr == nil
}

// unescape decodes the blanks and other characters that are written as a backslash and three octal digits.
func unescape(field string) string {
	var plain strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if code, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				plain.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		plain.WriteByte(field[i])
	}
	return plain.String()
}

// find returns the mount with the given ID. If the ID is 0, it returns the mount of path, which must not contain
// symlinks.
func (t mountTable) find(id uint64, path string) (found mount, ok bool) {
	for _, m := range t {
		switch {
		case id != 0 && m.id == id:
			return m, true
		case id == 0 && contains(m.point, path) && len(m.point) >= len(found.point):
			// The last of several mounts at one point covers the others.
			found, ok = m, true
		}
	}
	return found, ok
}

// contains reports whether path is dir or lies below it.
func contains(dir, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// visible is a mount that no other mount covers. automatic is true if an automounter makes and removes it.
type visible struct {
	mount
	automatic bool
}

// below returns the visible mounts below dir, a directory on the mount on.
func (t mountTable) below(on mount, dir string) (found []visible) {
	var children []mount
	for _, m := range t {
		if m.parent == on.id && m.id != on.id && m.point != dir && contains(dir, m.point) {
			children = append(children, m)
		}
	}

	// Sorted by point, a mount precedes those that it covers.
	slices.SortStableFunc(children, func(a, b mount) int { return cmp.Compare(a.point, b.point) })

	for i, child := range children {
		if slices.ContainsFunc(children[:i], func(other mount) bool { return contains(other.point, child.point) }) {
			// Another mount covers the child.
			continue
		}

		top := child
		for over, ok := t.over(top); ok; over, ok = t.over(top) {
			top = over
		}

		// An autofs mount that nothing covers shows no files: nothing is mounted there now, or mounts lie below
		// it by name.
		if top.kind != "autofs" {
			found = append(found, visible{top, t.automatic(top)})
		}

		found = append(found, t.below(top, top.point)...)
	}

	return found
}

// automatic reports whether a mount lies on an automounter's mount.
func (t mountTable) automatic(m mount) bool {
	return slices.ContainsFunc(t, func(other mount) bool {
		return other.kind == "autofs" && (other.point == m.point || other.id == m.parent)
	})
}

// over returns the mount that covers all of m.
func (t mountTable) over(m mount) (over mount, ok bool) {
	for _, other := range t {
		if other.parent == m.id && other.point == m.point && other.id != m.id {
			over, ok = other, true
		}
	}
	return over, ok
}

// describe describes a mount and the directory dir on it.
func (m mount) describe(dir string) sqlrepo.Mount {
	rest := strings.TrimPrefix(strings.TrimPrefix(dir, strings.TrimSuffix(m.point, "/")), "/")
	return sqlrepo.Mount{
		Point: m.point, Kind: m.kind, Origin: m.origin, Root: m.root, Inner: path.Join(m.root, rest),
	}
}
