package source

import (
	"path"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// Likeness says whether a mount is the one that it was.
type Likeness int

// What a comparison of mounts can come to.
const (
	// Unknown mounts have nothing that identifies them; their content has to tell.
	Unknown Likeness = iota
	Same
	Other
)

// Compare reports whether now is the mount that was was. What a container or an automounter changes does not matter: a
// directory of a file system may be mounted by itself or be reached through a directory above it.
func Compare(was, now sqlrepo.Mount) Likeness {
	if was.Kind == "" || now.Kind == "" {
		return Same // this system does not tell, so there is nothing to object to
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
		return likeness // another directory of the same mount: a symlink on the way leads elsewhere
	}
	return Other
}

// compareOrigins reports whether two mounts are of one file system, whatever their directories.
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
		return Unknown // devices change their names
	case inMemory(was), isGeneric(was):
		if was.ID != "" && was.ID == now.ID {
			return Same
		}
		return Unknown
	}
	return Same // the origins are part of whole
}

// whole is the origin of a mount together with the directory, which is what both come to: nas:/photos and /2024 are
// what nas:/ and /photos/2024 are.
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

// isDevice reports whether a mount is of a file system on a device, whose name says little.
func isDevice(m sqlrepo.Mount) bool {
	return strings.HasPrefix(m.Origin, "/dev/") && (m.Kind == "fuseblk" || !strings.HasPrefix(m.Kind, "fuse"))
}

// overlay is the kind of a file system that is made of directories of others.
const overlay = "overlay"

// isGeneric reports whether the origin of a mount is a word that many share.
func isGeneric(m sqlrepo.Mount) bool {
	named := strings.ContainsAny(m.Origin, ":/")
	return m.Kind == overlay || m.Origin == m.Kind || m.Origin == "none" || m.Origin == "" ||
		strings.HasPrefix(m.Kind, "fuse") && !named
}

// inMemory reports whether a mount is of a file system that does not outlive its mount.
func inMemory(m sqlrepo.Mount) bool { return m.Kind == "tmpfs" || m.Kind == "ramfs" }

// mountsBelowItself reports whether a mount below another one may be the other's own doing: a server's exports and
// shares that lie in one another are mounted when somebody looks there.
func mountsBelowItself(above, below sqlrepo.Mount) bool {
	kind := family(above.Kind)
	return kind == family(below.Kind) && (kind == "nfs" || kind == "cifs" || kind == "afs")
}

// Within is what a mount is said to be at a path below it, relative to where it is, as long as nothing is mounted
// there.
func Within(m sqlrepo.Mount, below string) sqlrepo.Mount {
	m.Point, m.Inner = path.Join(m.Point, below), path.Join(m.Inner, below)
	return m
}

// families are the kinds of mount that are different names of one.
var families = map[string]string{
	"nfs4": "nfs", "smb3": "cifs", "ext2": "ext4", "ext3": "ext4", "msdos": "vfat", "ntfs3": "ntfs", "fuseblk": "ntfs",
}

func family(kind string) string {
	if name, ok := families[kind]; ok {
		return name
	}
	return kind
}

// Describe returns text that says what a mount is, for people.
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
