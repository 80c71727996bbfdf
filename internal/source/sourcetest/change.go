package sourcetest

import (
	"io/fs"
	"path"
	"time"
)

// change is the state of a path that was changed.
type change struct {
	// reads counts the reads of the path, over all open files.
	reads int
	// due holds the changes to make when a read begins, by the number of the read.
	due map[int][]func(*change) error
	// failures maps an operation (lstat, stat, readdir or open) to its error.
	failures map[string]error

	generation uint64
	truncated  bool
	size       int64
}

// at calls do for a path when its read number k begins, or at once if k is 0.
func (s *Synthetic) at(name string, k int, apply func(*change) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.changeOf(path.Clean(name))
	if k == 0 {
		_ = apply(c)
		return
	}
	c.due[k] = append(c.due[k], apply)
}

// changeOf returns the change of a path. The caller holds the mutex.
func (s *Synthetic) changeOf(clean string) *change {
	c := s.changes[clean]
	if c == nil {
		c = &change{due: map[int][]func(*change) error{}, failures: map[string]error{}}
		s.changes[clean] = c
	}
	return c
}

// Change gives the file at path other content and a later modification time when its read number k begins. Reads
// are counted from 1, over Read and ReadAt of every open file of the path. If k is 0, the file changes at once.
func (s *Synthetic) Change(path string, k int) {
	s.at(path, k, func(c *change) error { c.generation++; return nil })
}

// Truncate is like Change but also gives the file the given size.
func (s *Synthetic) Truncate(path string, k int, size int64) {
	s.at(path, k, func(c *change) error {
		c.generation++
		c.truncated, c.size = true, size
		return nil
	})
}

// FailRead makes read number k, counted from 1, of the file at path fail once with err.
func (s *Synthetic) FailRead(path string, k int, err error) {
	s.at(path, k, func(*change) error { return err })
}

// Fail makes every call of op on path fail with err in an fs.PathError from now on, or succeed again if err is
// nil. The operations are lstat, stat, readdir and open.
func (s *Synthetic) Fail(path, op string, err error) {
	s.at(path, 0, func(c *change) error { c.failures[op] = err; return nil })
}

// Remove makes every operation on path fail from now on, while ReadDir of its parent still lists it, as if path
// vanished right after the listing.
func (s *Synthetic) Remove(path string) {
	for _, op := range []string{"lstat", "stat", "readdir", "open"} {
		s.Fail(path, op, fs.ErrNotExist)
	}
}

// apply returns the description of the file after the change.
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

// beginRead counts a read, makes the changes that are due, and returns the description of the file.
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
	for _, apply := range c.due[c.reads] {
		if err := apply(c); err != nil {
			failure = &fs.PathError{Op: "read", Path: clean, Err: err}
		}
	}

	return c.apply(info), failure
}
