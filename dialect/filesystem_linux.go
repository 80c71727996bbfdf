package dialect

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// networkFilesystems are the magic numbers of file systems that hosts share, as statfs(2) gives them.
var networkFilesystems = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.FUSE_SUPER_MAGIC:  "FUSE",
	unix.V9FS_MAGIC:        "9P",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.NCP_SUPER_MAGIC:   "NCP",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x0bd00bd0:             "Lustre",
	0x47504653:             "GPFS",
	0x013111a8:             "IBRIX",
}

// checkFilesystem refuses a directory where SQLite's locks and shared memory can't be relied on. A directory that can't
// be looked at is left to the opening of the file in it.
func checkFilesystem(dir string, allow bool) error {
	var stat unix.Statfs_t
	if allow || unix.Statfs(dir, &stat) != nil {
		return nil
	}
	name, shared := networkFilesystems[uint32(stat.Type)] //nolint:gosec // magic numbers have 32 bits
	if !shared {
		return nil
	}
	return fmt.Errorf("%w: %s is on %s, where SQLite loses data: keep repo.data_dir on a local disk, or use PostgreSQL "+
		"(repo.database_url: postgres://...), or set repo.allow_network_filesystem to take the risk", ErrSettings, dir, name)
}
