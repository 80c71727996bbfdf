package sqlite

import "golang.org/x/sys/unix"

// networkFilesystems holds the magic numbers of file systems that hosts share, as statfs(2) returns them. FUSE
// stands for many file systems, such as GlusterFS, SSHFS and S3, which can't be told apart.
var networkFilesystems = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.FUSE_SUPER_MAGIC:  "FUSE",
	unix.V9FS_MAGIC:        "9P",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.NCP_SUPER_MAGIC:   "NCP",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x0bd00bd0:             "Lustre",
	0x47504653:             "GPFS",
	0x013111a8:             "IBRIX",
	0x19830326:             "BeeGFS",
	0x01161970:             "GFS2",
	0xaad7aaea:             "PanFS",
	0x20030528:             "OrangeFS",
	0xbeefdead:             "StorNext",
	0x61636673:             "ACFS",
	0xbacbacbc:             "VMware shared folders",
	0x786f4256:             "VirtualBox shared folders",
	0x7c7c6673:             "Parallels shared folders",
}

// localFilesystems holds the usual file systems of databases.
var localFilesystems = map[uint32]string{
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.XFS_SUPER_MAGIC:       "XFS",
	unix.BTRFS_SUPER_MAGIC:     "Btrfs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.F2FS_SUPER_MAGIC:      "F2FS",
	0x2fc12fc1:                 "ZFS",
}

// filesystemOf returns the file system of a directory, and reports whether other hosts may share it. If the
// directory can't be read, opening the file in it will fail with the reason.
func filesystemOf(dir string) (name string, shared bool) {
	var stat unix.Statfs_t
	if unix.Statfs(dir, &stat) != nil {
		return "", false
	}
	return filesystemNamed(uint32(stat.Type)) //nolint:gosec // magic numbers have 32 bits
}

func filesystemNamed(magic uint32) (name string, shared bool) {
	if name, shared = networkFilesystems[magic]; shared {
		return name, true
	}
	return localFilesystems[magic], false
}
