package progress

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Part counts the bytes of one thing that is under way, such as a file. A nil Part counts nothing.
type Part struct {
	among        *parts
	name         string
	bytes, total atomic.Int64
	// whole counts the bytes once more, for the work that the part belongs to.
	whole func(bytes int64)
}

// Add adds to the bytes of the part.
func (p *Part) Add(bytes int64) {
	if p != nil {
		p.bytes.Add(bytes)
		p.whole(bytes)
	}
}

// End says that the part is no longer under way. What it has counted for the whole stays counted.
func (p *Part) End() {
	if p == nil {
		return
	}
	p.among.mu.Lock()
	defer p.among.mu.Unlock()
	p.among.list = slices.DeleteFunc(p.among.list, func(other *Part) bool { return other == p })
}

// Restart says that the part begins again: what it has counted is no longer done.
func (p *Part) Restart() {
	if p != nil {
		p.Add(-p.bytes.Load())
	}
}

// Done says that the part is finished: what it has not counted of its bytes counts as done, too. Then it ends the part.
func (p *Part) Done() {
	if p != nil {
		p.Add(p.total.Load() - p.bytes.Load())
		p.End()
	}
}

// parts are the parts under way, in the order in which they began.
type parts struct {
	mu   sync.Mutex
	list []*Part
}

func (p *parts) begin(name string, bytes int64, whole func(bytes int64)) *Part {
	part := &Part{among: p, name: name, whole: whole}
	part.total.Store(bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, part)
	return part
}

func (p *parts) states() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	var states []State
	for _, part := range p.list {
		states = append(states, State{Doing: part.name, Bytes: part.bytes.Load(), BytesTotal: part.total.Load()})
	}
	return states
}
