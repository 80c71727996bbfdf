// Package progress counts work in memory and shows it to whoever waits.
package progress

import (
	"sync/atomic"
	"time"
)

// Counters are what the stages count while they work. They are safe for concurrent use.
type Counters struct {
	stage atomic.Pointer[stage]
	// Entries is how many entries a scan found.
	Entries atomic.Int64
	// FilesTotal and BytesTotal are what is to be packed, Files and Bytes what is.
	FilesTotal, BytesTotal atomic.Int64
	Files, Bytes           atomic.Int64
	// OtherFiles and OtherBytes are what others have packed, or earlier runs.
	OtherFiles, OtherBytes atomic.Int64
	// Linked is how many entries were linked.
	Linked atomic.Int64
	// Indexed is how many blocks were indexed.
	Indexed atomic.Int64
}

type stage struct {
	name  string
	since time.Time
	// bytes is what was packed before the stage began: its rate counts from there.
	bytes int64
}

// Enter begins a stage unless it is the present one.
func (c *Counters) Enter(name string) {
	if now := c.stage.Load(); now == nil || now.name != name {
		c.Begin(name)
	}
}

// Begin names the stage that begins.
func (c *Counters) Begin(name string) {
	c.stage.Store(&stage{name, time.Now(), c.Bytes.Load() + c.OtherBytes.Load()})
}
