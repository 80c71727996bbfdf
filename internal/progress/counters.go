// Package progress counts work in memory and shows it to whoever waits.
package progress

import "sync/atomic"

// Counters are what the stages count while they work. They are safe for concurrent use.
type Counters struct {
	stage atomic.Value
	// Entries is how many entries a scan found.
	Entries atomic.Int64
	// FilesTotal and BytesTotal are what is to be packed, Files and Bytes what is.
	FilesTotal, BytesTotal atomic.Int64
	Files, Bytes           atomic.Int64
	// Linked is how many entries were linked.
	Linked atomic.Int64
}

// Begin names the stage that begins.
func (c *Counters) Begin(stage string) { c.stage.Store(stage) }

// Stage is the name of the present stage.
func (c *Counters) Stage() string {
	stage, _ := c.stage.Load().(string)
	return stage
}
