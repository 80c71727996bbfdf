package source

import "io/fs"

// lineage is the set of directories above an entry, both along the followed symlinks that led there and in the
// file system itself. A symlink to one of them would form a cycle.
type lineage struct {
	info fs.FileInfo
	next *lineage
}

// holds reports whether the set contains the directory.
func (l *lineage) holds(info fs.FileInfo) bool {
	for ; l != nil; l = l.next {
		if sameFile(l.info, info) {
			return true
		}
	}
	return false
}

// lineageOf adds the directory at osPath and its parents in the file system to the set above. It stops at a
// directory that the set holds already, since the set then holds the parents too.
func (in *inspector) lineageOf(osPath string, info fs.FileInfo, above *lineage) *lineage {
	for !above.holds(info) {
		above = &lineage{info: info, next: above}
		osPath = joinOS(osPath, "..")
		parent, err := in.fsys.Stat(osPath)
		if err != nil {
			break
		}
		info = parent
	}
	return above
}
