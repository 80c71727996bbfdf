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

// mountKey identifies a directory and its mount until the system restarts.
type mountKey struct {
	mount, inode uint64
	major, minor uint32
}

// keyAt returns the key of the file at a path relative to an open directory. The key is incomplete on systems
// that have no keys for mounts or refuse to report them.
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

// keyOf returns the key of the file at path.
func keyOf(path string) (mountKey, error) { return keyAt(unix.AT_FDCWD, path) }

// sameMount reports whether both are on one mount, as far as the system reports mounts, and in one file system.
func (k mountKey) sameMount(other mountKey) bool {
	return k.mount == other.mount && k.major == other.major && k.minor == other.minor
}

// known reports whether the system distinguishes mounts.
func (k mountKey) known() bool { return k.mount != 0 }

// onSameMount reports whether both are on one mount. A mount may have several devices, since each subvolume has
// its own.
func (k mountKey) onSameMount(other mountKey) bool { return k.mount == other.mount }

// statx returns an empty result on systems without the call.
func statx(dir int, rest string, mask int) (found unix.Statx_t, err error) {
	err = uninterrupted(func() error { return unix.Statx(dir, rest, 0, mask, &found) })
	// The kernel is old, or an old container's filter blocks the call.
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		found, err = unix.Statx_t{}, nil
	}
	return found, err
}

// mountIDOf returns the ID that mountinfo has for the mount of path, or 0 if the system does not report it.
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

// survey determines where the source's path leads now and which mount points are below it. It returns only the
// path if the system does not report mounts.
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

	// The points of the mounts below are relative to the source.
	for _, m := range table.below(on, resolved) {
		described := m.describe(m.point)
		described.ID = identifierOf(m.mount, m.point)
		described.Point = strings.TrimPrefix(strings.TrimPrefix(m.point, resolved), "/")
		seen.Below, seen.below = append(seen.Below, described), append(seen.below, m)
	}

	return seen
}

// identifierOf returns an identifier of the file system of a mount, if the mount's origin does not identify it.
// The path lies on the mount.
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
		// The UUID belongs to this very file system. Its device number soon belongs to another one.
		return uuidOf(path)
	}

	return ""
}

// layersOf returns a hash of the directories that an overlay is made of. It distinguishes overlays, which all
// have the same origin.
func layersOf(options string) string {
	layers := sha256.New()

	for _, option := range strings.Split(options, ",") {
		if strings.HasPrefix(option, "lowerdir") || strings.HasPrefix(option, "upperdir=") {
			fmt.Fprintln(layers, option)
		}
	}

	return hex.EncodeToString(layers.Sum(nil)[:16])
}

// getUUID is FS_IOC_GETFSUUID, available since Linux 6.9.
const getUUID = 0x80111500

// uuidOf returns the UUID that the file system at path reports, or "".
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

// linkedUUID returns the UUID of a device according to the links that udev makes, or "".
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
