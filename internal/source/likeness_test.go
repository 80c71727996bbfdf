package source_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestCompare(t *testing.T) {
	type mount = sqlrepo.Mount
	export := mount{Point: "/nas", Kind: "nfs4", Origin: "nas:/photos", Root: "/", Inner: "/2024"}
	disk := mount{Point: "/disk", Kind: "ext4", Origin: "/dev/sda1", ID: "u-1", Root: "/", Inner: "/photos"}
	memory := mount{Point: "/tmp", Kind: "tmpfs", Origin: "tmpfs", ID: "t-1", Root: "/", Inner: "/"}
	unnamed := mount{Point: "/disk", Kind: "ext4", Origin: "/dev/sda1", Root: "/", Inner: "/photos"}

	for name, c := range map[string]struct {
		was, now mount
		want     source.Likeness
	}{
		"the same":                  {export, export, source.Same},
		"nothing is known":          {mount{}, export, source.Same},
		"this system does not tell": {export, mount{}, source.Same},
		"NFS of another version":    {export, with(export, func(m *mount) { m.Kind = "nfs" }), source.Same},
		"mounted by itself":         {export, at("/x", "nfs4", "nas:/photos/2024", "", "/", "/"), source.Same},
		"mounted from further up":   {export, at("/x", "nfs4", "nas:/", "", "/", "/photos/2024"), source.Same},
		"a container's bind mount":  {export, at("/nas", "nfs4", "nas:/photos", "", "/2024", "/2024"), source.Same},
		"another export":            {export, at("/nas", "nfs4", "nas:/music", "", "/", "/2024"), source.Other},
		"another server":            {export, at("/nas", "nfs4", "nas2:/photos", "", "/", "/2024"), source.Other},
		"a share, mounted deeper": {at("/s", "cifs", "//nas/share", "", "/", "/a"),
			at("/s", "smb3", "//nas/share/a", "", "/", "/"), source.Same},
		"nothing is mounted":            {export, disk, source.Other},
		"a device of another name":      {disk, with(disk, func(m *mount) { m.Origin = "/dev/sdb1" }), source.Same},
		"another disk of the same name": {disk, with(disk, func(m *mount) { m.ID = "u-2" }), source.Other},
		"a bind mount is missing": {
			at("/nas", "ext4", "/dev/sda1", "u-1", "/src", "/src"),
			at("/", "ext4", "/dev/sda1", "u-1", "/", "/nas"), source.Other,
		},
		"another bind mount": {
			at("/nas", "ext4", "/dev/sda1", "u-1", "/src", "/src"),
			at("/nas", "ext4", "/dev/sda1", "u-1", "/other", "/other"), source.Other,
		},
		"a symlink leads elsewhere on the mount": {disk, with(disk, func(m *mount) { m.Inner = "/photos-2" }), source.Same},
		"ext4 mounted as ext3":                   {disk, with(disk, func(m *mount) { m.Kind = "ext3" }), source.Same},
		"no UUID, the same name":                 {unnamed, unnamed, source.Same},
		"no UUID, another name": {unnamed, with(unnamed, func(m *mount) { m.Origin = "/dev/sdb1" }),
			source.Unknown},
		"a UUID on one side": {disk, with(unnamed, func(m *mount) { m.Origin = "/dev/sdb1" }),
			source.Unknown},
		"the same memory": {memory, memory, source.Same},
		"other memory":    {memory, with(memory, func(m *mount) { m.ID = "t-2" }), source.Unknown},
		"memory that can't be told apart": {with(memory, func(m *mount) { m.ID = "" }),
			with(memory, func(m *mount) { m.ID = "" }), source.Unknown},
		"a container's own files": {at("/", "overlay", "overlay", "o-1", "/", "/data"),
			at("/", "overlay", "overlay", "o-1", "/", "/data"), source.Same},
		"those of the next container": {at("/", "overlay", "overlay", "o-1", "/", "/data"),
			at("/", "overlay", "overlay", "o-2", "/", "/data"), source.Unknown},
		"a word that many share": {at("/s", "fuse.s3fs", "s3fs", "", "/", "/"),
			at("/s", "fuse.s3fs", "s3fs", "", "/", "/"), source.Unknown},
		"a container without its volume": {disk, at("/", "overlay", "overlay", "", "/", "/photos"), source.Other},
		"sshfs": {at("/s", "fuse.sshfs", "me@nas:/a", "", "/", "/b"),
			at("/s", "fuse.sshfs", "me@nas:/a", "", "/", "/b"), source.Same},
	} {
		if got := source.Compare(c.was, c.now); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func at(point, kind, origin, id, root, inner string) sqlrepo.Mount {
	return sqlrepo.Mount{Point: point, Kind: kind, Origin: origin, ID: id, Root: root, Inner: inner}
}

func with(m sqlrepo.Mount, change func(*sqlrepo.Mount)) sqlrepo.Mount {
	change(&m)
	return m
}

func TestDescribe(t *testing.T) {
	for want, m := range map[string]sqlrepo.Mount{
		"an unknown file system":     {},
		"nfs4 nas:/photos/2024":      {Kind: "nfs4", Origin: "nas:/photos", Inner: "/2024"},
		"cifs //nas/share/a":         {Kind: "cifs", Origin: "//nas/share", Inner: "/a"},
		"ext4 /dev/sda1":             {Kind: "ext4", Origin: "/dev/sda1", Inner: "/"},
		"/photos of ext4 /dev/sda1":  {Kind: "ext4", Origin: "/dev/sda1", Inner: "/photos"},
		"/data of overlay overlay":   {Kind: "overlay", Origin: "overlay", Inner: "/data"},
		"fuse.sshfs me@nas:/a/b":     {Kind: "fuse.sshfs", Origin: "me@nas:/a", Inner: "/b"},
		"/tank/a of zfs tank/photos": {Kind: "zfs", Origin: "tank/photos", Inner: "/tank/a"},
	} {
		if got := source.Describe(m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
