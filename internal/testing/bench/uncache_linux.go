package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// uncache makes the system forget what it has in memory of the files below a directory that nobody writes to.
func uncache(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		file, err := os.Open(path)
		if err != nil {
			return err
		}
		// What is not on the disk yet stays in memory.
		if err = file.Sync(); err == nil {
			err = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
		return errors.Join(err, file.Close())
	})
}
