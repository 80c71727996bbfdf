package source

import "io/fs"

// lineage is a set of directories: those above an entry, both on the way there through followed symlinks and in
// the file system itself. A symlink to one of them would lead round in circles.
type lineage struct {
	info fs.FileInfo
	next *lineage
}

func (l *lineage) holds(info fs.FileInfo) bool {
	for ; l != nil; l = l.next {
		if sameFile(l.info, info) {
			return true
		}
	}
	return false
}

// lineageOf adds the directory at osPath, and those above it in the file system, to the ones above. A directory
// that is held already has its own parents held too.
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
