package source

import (
	"io/fs"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Fingerprint returns what info says about whether an entry changed. Only symlinks have a target, only files a
// size and an inode, only files and directories a ctime.
func Fingerprint(info fs.FileInfo, target []byte) sqlrepo.Fingerprint {
	found := sqlrepo.Fingerprint{
		Kind: kindOf(info.Mode()),
		Mode: permissions(info.Mode()),
	}
	found.SetModified(info.ModTime())

	switch found.Kind {
	case sqlrepo.File:
		found.Size = info.Size()
		_, found.Inode, found.Ctime = identity(info)
	case sqlrepo.Directory:
		_, _, found.Ctime = identity(info)
	case sqlrepo.Symlink:
		found.Target = target
	}

	return found
}

func kindOf(mode fs.FileMode) sqlrepo.EntryKind {
	switch {
	case mode.IsRegular():
		return sqlrepo.File
	case mode.IsDir():
		return sqlrepo.Directory
	case mode&fs.ModeSymlink != 0:
		return sqlrepo.Symlink
	}
	return sqlrepo.Special
}

// permissions returns the bits of st_mode & 07777. fs.FileMode keeps the special ones in other places.
func permissions(mode fs.FileMode) int32 {
	bits := int32(mode.Perm())
	for _, special := range []struct {
		flag fs.FileMode
		bit  int32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if mode&special.flag != 0 {
			bits |= special.bit
		}
	}
	return bits
}

// describe names the kind of a file for people.
func describe(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symlink"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeCharDevice != 0:
		return "character device"
	case mode&fs.ModeDevice != 0:
		return "block device"
	case mode.IsRegular():
		return "file"
	}
	return "irregular file"
}
