package store

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestADefaultACL checks that a store and its files inherit the default ACL of the directory above.
func TestADefaultACL(t *testing.T) {
	above := t.TempDir()
	err := unix.Setxattr(above, "system.posix_acl_default", defaultACL(), 0)
	if errors.Is(err, unix.ENOTSUP) {
		// This file system has no ACLs.
		return
	}
	noError(t, err)

	path := filepath.Join(above, "store")
	d, err := OpenDirectory(path)
	noError(t, err)
	_, err = d.Identify(t.Context())
	noError(t, err)

	blob, err := d.Create(t.Context(), "owner")
	noError(t, err)
	_, err = blob.Write([]byte("content"))
	noError(t, err)
	err = blob.Commit(t.Context(), "name")
	noError(t, err)

	for name, mode := range map[string]os.FileMode{"": 0o770, "name": 0o660, ".guppy-store": 0o660} {
		info, err := os.Stat(filepath.Join(path, name))
		noError(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, want %v", name, info.Mode(), mode)
		}

		if n, err := unix.Getxattr(filepath.Join(path, name), "system.posix_acl_access", make([]byte, 100)); err != nil ||
			n == 0 {
			t.Errorf("%q has no ACL: %v", name, err)
		}
	}
}

// defaultACL returns an ACL that lets another user read and write, and others nothing. See acl(5) and the
// kernel's posix_acl_xattr.h.
func defaultACL() []byte {
	const someUser, anyone = 65101, 0xffffffff
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, entry := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, anyone}, {2, 7, someUser}, {4, 5, anyone}, {16, 7, anyone}, {32, 0, anyone}} {
		acl = binary.LittleEndian.AppendUint16(acl, entry.tag)
		acl = binary.LittleEndian.AppendUint16(acl, entry.perm)
		acl = binary.LittleEndian.AppendUint32(acl, entry.id)
	}
	return acl
}
