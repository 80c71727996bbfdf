package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readLimited returns the content and the permissions of a file of at most limit bytes. Its errors do not name the
// file: a password may have been given for its path.
func readLimited(name string, limit int64) (data []byte, mode fs.FileMode, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("the file has more than %d bytes", limit)
	}
	return data, info.Mode().Perm(), nil
}

func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
