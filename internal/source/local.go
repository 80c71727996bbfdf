package source

import (
	"io/fs"
	"os"
)

// Local returns the operating system's file system. The entries that its ReadDir returns determine their type
// only on demand, because some network file systems need a round trip for each.
func Local() FS { return local{} }

type local struct{}

func (local) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

func (local) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

func (local) Readlink(path string) (string, error) { return os.Readlink(path) }

func (l local) ReadDir(path string) ([]fs.DirEntry, error) {
	dir, err := os.OpenFile(path, openDirectory, 0)
	if err != nil {
		return nil, err
	}
	return readNames(l, dir, path)
}

func (local) Open(path string) (File, error) {
	file, err := os.OpenFile(path, openFile, 0)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Present reports only whether anything is at root. See Hold for more.
func (local) Present(root string) error {
	_, err := os.Stat(root)
	return err
}

// readNames reads the names in a directory and closes it.
func readNames(fsys FS, dir *os.File, path string) ([]fs.DirEntry, error) {
	defer dir.Close() //nolint:errcheck // nothing was written
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}

	entries := make([]fs.DirEntry, len(names))
	lazy := make([]lazyEntry, len(names))
	for i, name := range names {
		lazy[i] = lazyEntry{fsys: fsys, dir: path, name: name}
		entries[i] = &lazy[i]
	}
	return entries, nil
}

// lazyEntry is a directory entry that describes its file on demand.
type lazyEntry struct {
	fsys      FS
	dir, name string
}

func (e *lazyEntry) Name() string { return e.name }

func (e *lazyEntry) Info() (fs.FileInfo, error) { return e.fsys.Lstat(joinOS(e.dir, e.name)) }

func (e *lazyEntry) IsDir() bool { return e.Type().IsDir() }

func (e *lazyEntry) Type() fs.FileMode {
	info, err := e.Info()
	if err != nil {
		return fs.ModeIrregular
	}
	return info.Mode().Type()
}
