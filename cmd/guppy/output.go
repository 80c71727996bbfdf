package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/host/presence"
)

// replaceFile writes a file that gets its name only when it is whole and synced. It follows a symlink and
// replaces the file that the symlink leads to. It writes into whatever is not a file, such as a device or a FIFO.
func replaceFile(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a symlink that leads nowhere", path)
		}
		return replace(path, nil, write)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory: name a file", path)
	case !info.Mode().IsRegular():
		return writeInto(path, write)
	}

	// A rename would replace the symlink itself.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	return replace(path, info, write)
}

func writeInto(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// replace writes a file under a temporary name beside its place. It first removes the temporary files that killed
// processes left there. It keeps the mode of an existing file.
func replace(path string, previous fs.FileInfo, write func(io.Writer) error) error {
	if err := removeDeadParts(path); err != nil {
		return err
	}

	part := partPrefix(path) + presence.Tag() + "." + rand.Text() + partSuffix
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}

	err = write(file)
	if err == nil && previous != nil {
		err = file.Chmod(previous.Mode().Perm())
	}

	// The content must be durable before the name, or a crash could leave a file that is cut short.
	if err == nil {
		err = file.Sync()
	}

	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(part, path)
	}

	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return durable.SyncDirectory(filepath.Dir(path))
}

// partSuffix ends the names of temporary files. The temporary file beside FILE is .FILE.TAG.RANDOM.part, where
// TAG identifies the process that writes it.
const partSuffix = ".part"

func partPrefix(path string) string {
	directory, name := filepath.Split(filepath.Clean(path))
	return filepath.Join(directory, "."+name+".")
}

// removeDeadParts removes the temporary files of a path whose processes are known to be gone.
func removeDeadParts(path string) error {
	beside, err := os.ReadDir(filepath.Dir(filepath.Clean(path)))
	if err != nil {
		// The file can't be written either, and that error says why.
		return nil
	}

	prefix := partPrefix(path)
	for _, entry := range beside {
		part := filepath.Join(filepath.Dir(prefix), entry.Name())
		tag, isPart := strings.CutPrefix(part, prefix)
		tag, ends := strings.CutSuffix(tag, partSuffix)

		if end := strings.LastIndexByte(tag, '.'); isPart && ends && end > 0 && presence.IsGone(tag[:end]) {
			if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
