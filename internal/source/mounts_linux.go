package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mountKey identifies a directory and the mount that it lies on, for as long as the system runs.
type mountKey struct {
	mount, inode uint64
	major, minor uint32
}

// keyAt identifies what is at a path relative to an open directory. Of systems that have no keys for mounts, and of
// those that refuse to tell them, it knows less.
func keyAt(dir int, rest string) (key mountKey, err error) {
	found, err := statx(dir, rest, unix.STATX_INO|unix.STATX_MNT_ID_UNIQUE)
	if err == nil && found.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		found, err = statx(dir, rest, unix.STATX_INO|unix.STATX_MNT_ID)
	}
	if err != nil {
		return key, err
	}
	return mountKey{found.Mnt_id, found.Ino, found.Dev_major, found.Dev_minor}, nil
}

// keyOf identifies what is at a path.
func keyOf(path string) (mountKey, error) { return keyAt(unix.AT_FDCWD, path) }

// sameMount reports whether both are on one mount, if the system tells, and in one file system.
func (k mountKey) sameMount(other mountKey) bool {
	return k.mount == other.mount && k.major == other.major && k.minor == other.minor
}

// known reports whether the system tells mounts apart.
func (k mountKey) known() bool { return k.mount != 0 }

// onSameMount reports whether both are on one mount, which may have several devices: subvolumes have their own.
func (k mountKey) onSameMount(other mountKey) bool { return k.mount == other.mount }

// statx returns an empty answer where the system has none.
func statx(dir int, rest string, mask int) (found unix.Statx_t, err error) {
	err = uninterrupted(func() error { return unix.Statx(dir, rest, 0, mask, &found) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, or an old container's filter
		found, err = unix.Statx_t{}, nil
	}
	return found, err
}

// mountIDOf returns the key that mountinfo has for the mount that a path lies on, 0 if the system does not tell.
func mountIDOf(path string) uint64 {
	found, err := statx(unix.AT_FDCWD, path, unix.STATX_MNT_ID)
	if err != nil || found.Mask&unix.STATX_MNT_ID == 0 {
		return 0
	}
	return found.Mnt_id
}

// readMounts returns the mounts that this process sees.
func readMounts() (mountTable, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return parseMounts(file)
}

// survey finds out what the source's path leads to now, and which mount points there are below it. It returns nothing
// but the path where the system does not tell.
func survey(path string) (seen surveyed) {
	seen.Path = path
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return seen
	}
	table, err := readMounts()
	if err != nil {
		return seen
	}
	on, ok := table.find(mountIDOf(path), resolved)
	if !ok {
		return seen
	}
	seen.on = visible{on, table.automatic(on)}
	seen.Mount = on.describe(resolved)
	seen.Mount.ID = identifierOf(on, path)
	for _, m := range table.below(on, resolved) {
		described := m.describe(m.point)
		described.ID = identifierOf(m.mount, m.point)
		described.Point = strings.TrimPrefix(strings.TrimPrefix(m.point, resolved), "/")
		seen.Below, seen.below = append(seen.Below, described), append(seen.below, m)
	}
	return seen
}

// identifierOf returns what identifies the file system of a mount on which path lies, if its origin does not.
func identifierOf(m mount, path string) string {
	described := m.describe(m.point)
	switch {
	case isDevice(described):
		if id := uuidOf(path); id != "" {
			return id
		}
		return linkedUUID(m.device)
	case described.Kind == overlay:
		return layersOf(m.options)
	case inMemory(described):
		return uuidOf(path) // of this very file system: its device number soon belongs to another one
	}
	return ""
}

// layersOf tells an overlay from others, which have all the same origin: by the directories that it is made of.
func layersOf(options string) string {
	layers := sha256.New()
	for _, option := range strings.Split(options, ",") {
		if strings.HasPrefix(option, "lowerdir") || strings.HasPrefix(option, "upperdir=") {
			fmt.Fprintln(layers, option)
		}
	}
	return hex.EncodeToString(layers.Sum(nil)[:16])
}

// getUUID is FS_IOC_GETFSUUID, which Linux has from version 6.9 on.
const getUUID = 0x80111500

// uuidOf asks the file system at path for its UUID.
func uuidOf(path string) string {
	file, err := os.OpenFile(path, openFile, 0)
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // nothing was written
	var found struct {
		length uint8
		uuid   [16]byte
	}
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, file.Fd(), getUUID, uintptr(unsafe.Pointer(&found)))
	if failed != 0 || int(found.length) != len(found.uuid) || found.uuid == [16]byte{} {
		return ""
	}
	text := hex.EncodeToString(found.uuid[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// linkedUUID looks for a device among the links that udev makes.
func linkedUUID(device string) string {
	const links = "/dev/disk/by-uuid"
	entries, err := os.ReadDir(links)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		var stat unix.Stat_t
		if unix.Stat(filepath.Join(links, entry.Name()), &stat) != nil {
			continue
		}
		if number := uint64(stat.Rdev); device == fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)) {
			return entry.Name()
		}
	}
	return ""
}
