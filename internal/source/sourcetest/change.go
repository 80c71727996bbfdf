package sourcetest

import (
	"io/fs"
	"path"
	"time"
)

// change is what was done to one path.
type change struct {
	// reads counts the reads of the path, over all opens.
	reads int
	due   map[int][]func(*change) error
	// failures are by operation: lstat, stat, readdir, open.
	failures map[string]error

	generation uint64
	truncated  bool
	size       int64
}

// at does something to a path when its read number k begins, or at once for 0.
func (s *Synthetic) at(name string, k int, do func(*change) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.changeOf(path.Clean(name))
	if k == 0 {
		_ = do(c)
		return
	}
	c.due[k] = append(c.due[k], do)
}

func (s *Synthetic) changeOf(clean string) *change {
	c := s.changes[clean]
	if c == nil {
		c = &change{due: map[int][]func(*change) error{}, failures: map[string]error{}}
		s.changes[clean] = c
	}
	return c
}

// Change gives the file at path other content and a later modification time when its read number k begins. Reads
// are counted from 1, over Read and ReadAt of every open file of the path; with 0 it happens at once.
func (s *Synthetic) Change(path string, k int) {
	s.at(path, k, func(c *change) error { c.generation++; return nil })
}

// Truncate does what Change does, and gives the file at path this size.
func (s *Synthetic) Truncate(path string, k int, size int64) {
	s.at(path, k, func(c *change) error {
		c.generation++
		c.truncated, c.size = true, size
		return nil
	})
}

// FailRead lets read number k, from 1, of the file at path fail with err, once.
func (s *Synthetic) FailRead(path string, k int, err error) {
	s.at(path, k, func(*change) error { return err })
}

// Fail lets every call of op on path fail with err in a fs.PathError from now on, or succeed again for nil. The
// operations are lstat, stat, readdir and open.
func (s *Synthetic) Fail(path, op string, err error) {
	s.at(path, 0, func(c *change) error { c.failures[op] = err; return nil })
}

// Remove lets a path be there for ReadDir alone from now on, as if it vanished right after.
func (s *Synthetic) Remove(path string) {
	for _, op := range []string{"lstat", "stat", "readdir", "open"} {
		s.Fail(path, op, fs.ErrNotExist)
	}
}

// apply describes the file as changed.
func (c *change) apply(info syntheticInfo) syntheticInfo {
	if c.truncated {
		info.size = c.size
	}
	if c.generation > 0 {
		info.seed = scramble(info.seed + c.generation)
		info.modTime = info.modTime.Add(time.Duration(c.generation))
	}
	return info
}

// beginRead counts a read, does what is due, and describes the file for it.
func (s *Synthetic) beginRead(clean string) (syntheticInfo, error) {
	time.Sleep(s.tree.Latency)
	info, _ := s.tree.locate(clean)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.changes[clean]
	if c == nil {
		return info, nil
	}
	c.reads++
	var failure error
	for _, do := range c.due[c.reads] {
		if err := do(c); err != nil {
			failure = &fs.PathError{Op: "read", Path: clean, Err: err}
		}
	}
	return c.apply(info), failure
}
