package source

import "golang.org/x/sys/unix"

// knownTraits maps magic numbers of statfs(2) to traits. SMB and FUSE pass on inodes and ctimes from whatever is
// behind them. FAT makes up inodes, which last only as long as a file is in memory.
var knownTraits = map[uint32]Traits{
	unix.NFS_SUPER_MAGIC:  {Remote: true},
	unix.CEPH_SUPER_MAGIC: {Remote: true},
	unix.AFS_SUPER_MAGIC:  {Remote: true, NoInode: true, NoCtime: true, Tick: second},
	unix.AFS_FS_MAGIC:     {Remote: true, NoInode: true, NoCtime: true, Tick: second},
	unix.V9FS_MAGIC:       {Remote: true, NoInode: true},
	unix.SMB_SUPER_MAGIC:  smbTraits,
	unix.CIFS_SUPER_MAGIC: smbTraits,
	unix.SMB2_SUPER_MAGIC: smbTraits,
	unix.FUSE_SUPER_MAGIC: {Remote: true, NoInode: true, NoCtime: true, NoZero: true},

	unix.MSDOS_SUPER_MAGIC: {NoInode: true, NoCtime: true, Tick: 2 * second},
	unix.EXFAT_SUPER_MAGIC: {NoInode: true, NoCtime: true, Tick: 2 * second},

	unix.PROC_SUPER_MAGIC:    {NoSize: true},
	unix.SYSFS_MAGIC:         {NoSize: true},
	unix.DEBUGFS_MAGIC:       {NoSize: true},
	unix.TRACEFS_MAGIC:       {NoSize: true},
	unix.SECURITYFS_MAGIC:    {NoSize: true},
	unix.CGROUP_SUPER_MAGIC:  {NoSize: true},
	unix.CGROUP2_SUPER_MAGIC: {NoSize: true},
}

const second = 1_000_000_000

var smbTraits = Traits{Remote: true, NoInode: true, NoCtime: true, Tick: second}

// systemTraits returns the traits of the file system that contains path, according to the kernel. An unknown file
// system counts as a good local one.
func systemTraits(path string) Traits {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Traits{}
	}
	return knownTraits[uint32(stat.Type)] //nolint:gosec // magic numbers have 32 bits
}
