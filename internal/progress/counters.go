// Package progress counts work in memory and shows the progress to users.
package progress

import (
	"sync/atomic"
	"time"
)

// Counters hold the progress of the stages. They are safe for concurrent use.
type Counters struct {
	stage atomic.Pointer[stage]
	// Entries is the number of entries that a scan found.
	Entries atomic.Int64
	// FilesTotal and BytesTotal count what is to be packed. Files and Bytes count what is packed.
	FilesTotal, BytesTotal atomic.Int64
	Files, Bytes           atomic.Int64
	// OtherFiles and OtherBytes count what other workers or earlier runs packed.
	OtherFiles, OtherBytes atomic.Int64
	// Linked is the number of linked entries.
	Linked atomic.Int64
	// Indexed is the number of indexed blocks.
	Indexed atomic.Int64
	// Sent and SentBytes count the files that were sent to replicas, and the bytes that were read for that.
	Sent, SentBytes atomic.Int64
}

type stage struct {
	name  string
	since time.Time
	// bytes is the number of bytes packed before the stage began. The rate of the stage does not include them.
	bytes int64
}

// Enter begins a stage unless it is the present one.
func (c *Counters) Enter(name string) {
	if now := c.stage.Load(); now == nil || now.name != name {
		c.Begin(name)
	}
}

// Begin begins the named stage.
func (c *Counters) Begin(name string) {
	c.stage.Store(&stage{name, time.Now(), c.Bytes.Load() + c.OtherBytes.Load()})
}
