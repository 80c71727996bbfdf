package sourcetest

import (
	"io/fs"
	"time"
)

// epoch has nanoseconds, so that a test notices if they are lost.
var epoch = time.Date(2024, 2, 29, 12, 30, 45, 123456789, time.UTC)

type syntheticInfo struct {
	name    string
	mode    fs.FileMode
	size    int64
	modTime time.Time
	seed    uint64
}

func directoryInfo(name string) syntheticInfo {
	return syntheticInfo{name: name, mode: fs.ModeDir | 0o755, modTime: epoch}
}

func (i syntheticInfo) Name() string       { return i.name }
func (i syntheticInfo) Size() int64        { return i.size }
func (i syntheticInfo) Mode() fs.FileMode  { return i.mode }
func (i syntheticInfo) ModTime() time.Time { return i.modTime }
func (i syntheticInfo) IsDir() bool        { return i.mode.IsDir() }
func (i syntheticInfo) Sys() any           { return nil }
