package sourcetest

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// syntheticFile is an open file of a Synthetic.
type syntheticFile struct {
	fsys   *Synthetic
	path   string
	offset int64
}

func (f *syntheticFile) Close() error { return nil }

func (f *syntheticFile) Stat() (fs.FileInfo, error) {
	time.Sleep(f.fsys.tree.Latency)
	return f.fsys.current(f.path), nil
}

// current describes a file even if its path is made to fail, since an open file stays open.
func (s *Synthetic) current(clean string) syntheticInfo {
	info, _ := s.tree.locate(clean)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.changes[clean]; c != nil {
		return c.apply(info)
	}
	return info
}

func (f *syntheticFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.offset)
	f.offset += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *syntheticFile) ReadAt(p []byte, off int64) (int, error) {
	info, err := f.fsys.beginRead(f.path)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir() || off < 0:
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: fs.ErrInvalid}
	case off >= info.size:
		return 0, io.EOF
	}

	n := int(min(int64(len(p)), info.size-off))
	fill(p[:n], info.seed, off)
	if n < len(p) {
		return n, io.EOF
	}

	return n, nil
}
