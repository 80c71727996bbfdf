package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readLimited returns the content of a file of at most limit bytes. Its errors do not name the file, because a
// password may have been given instead of its path.
func readLimited(name string, limit int64) (data []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, withoutPath(err)
	}

	defer func() { err = errors.Join(err, f.Close()) }()

	// The byte beyond the limit distinguishes a file that is too large from one that just fits.
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, withoutPath(err)
	}

	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the file has more than %d bytes", limit)
	}

	return data, nil
}

func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
