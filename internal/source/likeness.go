package source

import (
	"path"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Likeness is the result of comparing two mounts.
type Likeness int

// The results of Compare.
const (
	// Unknown means that nothing identifies the mounts. Their content must show whether they are the same.
	Unknown Likeness = iota
	Same
	Other
)

// Compare reports whether now is the same mount as was. It ignores differences that containers and automounters
// cause: a directory of a file system may be mounted by itself or be reached through a directory above it.
func Compare(was, now sqlrepo.Mount) Likeness {
	if was.Kind == "" || now.Kind == "" {
		// This system does not report mounts, so there is nothing to object to.
		return Same
	}

	if family(was.Kind) != family(now.Kind) || isDevice(was) != isDevice(now) {
		return Other
	}

	likeness := compareOrigins(was, now)
	switch {
	case likeness == Other:
		return Other
	case whole(was) == whole(now):
		return likeness
	case was.Point == now.Point && was.Root == now.Root && was.Origin == now.Origin:
		// Another directory of the same mount: a symlink on the way leads elsewhere.
		return likeness
	}

	return Other
}

// compareOrigins reports whether two mounts show the same file system, whatever their directories.
func compareOrigins(was, now sqlrepo.Mount) Likeness {
	switch {
	case isDevice(was) && was.ID != "" && now.ID != "":
		if was.ID == now.ID {
			return Same
		}
		return Other
	case isDevice(was):
		if was.Origin == now.Origin {
			return Same
		}
		// Devices change their names.
		return Unknown
	case inMemory(was), isGeneric(was):
		if was.ID != "" && was.ID == now.ID {
			return Same
		}
		return Unknown
	}

	// Compare compares these origins as part of whole.
	return Same
}

// whole returns the origin of a mount joined with the directory in it, which is the same however the two are
// divided: nas:/photos with /2024 equals nas:/ with /photos/2024.
func whole(m sqlrepo.Mount) string {
	if isDevice(m) {
		return m.Inner
	}
	if host, dir, ok := strings.Cut(m.Origin, ":/"); ok {
		return host + ":" + path.Join("/", dir, m.Inner)
	}
	if strings.HasPrefix(m.Origin, "//") {
		return "/" + path.Join(m.Origin, m.Inner)
	}
	return m.Origin + ":" + m.Inner
}

// isDevice reports whether a mount shows a file system on a device, whose name says little.
func isDevice(m sqlrepo.Mount) bool {
	return strings.HasPrefix(m.Origin, "/dev/") && (m.Kind == "fuseblk" || !strings.HasPrefix(m.Kind, "fuse"))
}

// overlay is the kind of file systems that consist of directories of others.
const overlay = "overlay"

// isGeneric reports whether the origin of a mount is a word that many mounts share.
func isGeneric(m sqlrepo.Mount) bool {
	named := strings.ContainsAny(m.Origin, ":/")
	return m.Kind == overlay || m.Origin == m.Kind || m.Origin == "none" || m.Origin == "" ||
		strings.HasPrefix(m.Kind, "fuse") && !named
}

// inMemory reports whether a mount shows a file system that does not outlive its mount.
func inMemory(m sqlrepo.Mount) bool { return m.Kind == "tmpfs" || m.Kind == "ramfs" }

// mountsBelowItself reports whether the file system above may have made the mount below by itself: nested exports
// and shares of a server are mounted on first access.
func mountsBelowItself(above, below sqlrepo.Mount) bool {
	kind := family(above.Kind)
	return kind == family(below.Kind) && (kind == "nfs" || kind == "cifs" || kind == "afs")
}

// Within returns the description of m for a path below its directory, as long as nothing is mounted there.
func Within(m sqlrepo.Mount, below string) sqlrepo.Mount {
	m.Point, m.Inner = path.Join(m.Point, below), path.Join(m.Inner, below)
	return m
}

// families maps kinds of mount that are names for the same thing to one of them.
var families = map[string]string{
	"nfs4": "nfs", "smb3": "cifs", "ext2": "ext4", "ext3": "ext4", "msdos": "vfat", "ntfs3": "ntfs", "fuseblk": "ntfs",
}

func family(kind string) string {
	if name, ok := families[kind]; ok {
		return name
	}
	return kind
}

// Describe describes a mount for people.
func Describe(m sqlrepo.Mount) string {
	switch {
	case m.Kind == "":
		return "an unknown file system"
	case isDevice(m), inMemory(m), whole(m) == m.Origin+":"+m.Inner:
		if m.Inner == "/" {
			return m.Kind + " " + m.Origin
		}
		return m.Inner + " of " + m.Kind + " " + m.Origin
	}
	return m.Kind + " " + whole(m)
}
