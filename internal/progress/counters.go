package progress

import "sync/atomic"

// Counters hold the progress of the stages. They are safe for concurrent use.
type Counters struct {
	stage atomic.Pointer[string]
	// Entries is the number of entries that a scan found.
	Entries atomic.Int64
	// FilesTotal and BytesTotal count what is to be packed. Files and Bytes count what is packed.
	FilesTotal, BytesTotal atomic.Int64
	Files, Bytes           atomic.Int64
	// OtherFiles and OtherBytes count what other workers or earlier runs packed of that. They are set before the totals
	// and the stage.
	OtherFiles, OtherBytes atomic.Int64
	// Linked is the number of linked entries.
	Linked atomic.Int64
	// Indexed is the number of indexed blocks, of IndexedTotal.
	Indexed, IndexedTotal atomic.Int64
	// Sent and SentBytes count the files that were sent to replicas, and the bytes that were read for that.
	Sent, SentBytes atomic.Int64
	// SentTotal and SentBytesTotal count what is to be sent. They are 0 until all is packed.
	SentTotal, SentBytesTotal atomic.Int64

	shards, sendings parts
}

// Enter sets the present stage.
func (c *Counters) Enter(name string) { c.stage.Store(&name) }

// Shard begins a part for a shard that is packed, of so many bytes. What it counts counts as packed. The caller ends it
// with End.
func (c *Counters) Shard(name string, bytes int64) *Part {
	return c.shards.begin(name, bytes, func(n int64) { c.Bytes.Add(n) })
}

// Sending begins a part for a file that is sent to a replica. What it counts counts as sent. The caller ends it with
// End.
func (c *Counters) Sending(name string, bytes int64) *Part {
	return c.sendings.begin("sending "+name, bytes, func(n int64) { c.SentBytes.Add(n) })
}

// State returns the progress of the whole: what is packed of what is to be packed. Its parts are the present stage, if
// that is another one than packing, the shards under way, and what is sent to replicas: all of it, and each file.
func (c *Counters) State() State {
	// The stage and the totals are set after what others have packed, so they are read before it: what is measured from
	// now on must not grow by what was packed before.
	stage := c.stage.Load()
	whole := State{Doing: "preparing", Item: "file", ItemsTotal: c.FilesTotal.Load(), BytesTotal: c.BytesTotal.Load()}
	whole.Items, whole.Bytes = c.Files.Load()+c.OtherFiles.Load(), c.Bytes.Load()+c.OtherBytes.Load()

	// The stages before packing and after it must not count for its rate.
	whole.Paused = stage != nil && *stage != "packing"
	if part, ok := c.stageState(stage); ok {
		whole.Parts = append(whole.Parts, part)
	}

	whole.Parts = append(whole.Parts, c.shards.states()...)

	sending := State{
		Doing: "sending to replicas", Item: "file", Items: c.Sent.Load(), ItemsTotal: c.SentTotal.Load(),
		Bytes: c.SentBytes.Load(), BytesTotal: c.SentBytesTotal.Load(),
	}
	// What is sent last is shown before anything has arrived: the replica may hang.
	if sending.Started() || stage != nil && *stage == "sending" {
		whole.Parts = append(whole.Parts, sending)
		whole.Parts = append(whole.Parts, c.sendings.states()...)
	}
	return whole
}

// stageState returns the state of a stage. It reports false before the first stage, and for those that the whole and
// the shards show.
func (c *Counters) stageState(stage *string) (state State, ok bool) {
	if stage == nil {
		return State{}, false
	}

	switch *stage {
	case "packing", "sending":
		return State{}, false
	case "linking":
		return State{Doing: *stage, Item: "entry", Items: c.Linked.Load(), ItemsTotal: c.Entries.Load()}, true
	case "indexing":
		return State{Doing: *stage, Item: "block", Items: c.Indexed.Load(), ItemsTotal: c.IndexedTotal.Load()}, true
	}
	return State{Doing: *stage, Item: "entry", Items: c.Entries.Load()}, true
}
