package sqlite

import (
	"errors"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestCheckFilesystemLeavesLocalAndUnknownToOpen(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/nowhere/at/all"} {
		for _, allow := range []bool{false, true} {
			if err := checkFilesystem(dir, allow); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSharedFilesystemsAreKnown uses the numbers of the statfs(2) manual and of the systems' own headers.
func TestSharedFilesystemsAreKnown(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x65735546: "FUSE", 0x01021997: "9P",
		0x00c36400: "Ceph", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x73757245: "Coda", 0x564c: "NCP", 0x7461636f: "OCFS2",
		0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x01161970: "GFS2", 0xaad7aaea: "PanFS",
		0x20030528: "OrangeFS",
	} {
		if name, shared := filesystemNamed(magic); name != want || !shared {
			t.Errorf("%#x is %q, shared: %t", magic, name, shared)
		}
	}

	for magic, want := range map[uint32]string{0xef53: "ext4", 0x58465342: "XFS", 0x01021994: "tmpfs", 0x12345: ""} {
		if name, shared := filesystemNamed(magic); name != want || shared {
			t.Errorf("%#x is %q, shared: %t", magic, name, shared)
		}
	}
}

func TestRefusalOfAFilesystemSaysWhatToDo(t *testing.T) {
	err := refuseFilesystem("/mnt/x", "NFS")
	if !errors.Is(err, dialect.ErrSettings) {
		t.Error(err)
	}
	for _, want := range []string{"/mnt/x is on NFS", "locks", "repo.database_url: postgres://",
		"repo.allow_network_filesystem"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
}
