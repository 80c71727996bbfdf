package main

import (
	"io/fs"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
)

// slow is a file system that answers late, as a NAS does: each open, read and listing takes longer by latency.
type slow struct {
	source.FS
	latency time.Duration
}

func (s slow) ReadDir(path string) ([]fs.DirEntry, error) {
	time.Sleep(s.latency)
	return s.FS.ReadDir(path)
}

func (s slow) Open(path string) (source.File, error) {
	time.Sleep(s.latency)
	file, err := s.FS.Open(path)
	if err != nil {
		return nil, err
	}
	return slowFile{file, s.latency}, nil
}

type slowFile struct {
	source.File
	latency time.Duration
}

func (f slowFile) Read(p []byte) (int, error) {
	time.Sleep(f.latency)
	return f.File.Read(p)
}

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(f.latency)
	return f.File.ReadAt(p, off)
}
