// Package progress counts how far work is, measures how fast it goes on, and says so in text and JSON.
package progress

// State says how far a piece of work is. A total is 0 while it is unknown.
type State struct {
	// Doing says what is done, such as "packing", or names what is under way, such as "shard 12".
	Doing string
	// Work names the work whose speed is measured. It is only needed if Doing changes while the work is the same.
	Work string
	// Item is the singular of what Items counts, such as "file". It is empty if only bytes are counted.
	Item              string
	Items, ItemsTotal int64
	Bytes, BytesTotal int64
	// Paused is true while the work waits for other work, or other work for it: nobody can say how fast it goes on.
	Paused bool
	// Parts are the pieces of the work that are under way.
	Parts []State
}

// Source returns the present state of some work. It is safe for concurrent use.
type Source func() State

// Started reports whether anything is counted or expected.
func (s State) Started() bool {
	return s.Items > 0 || s.ItemsTotal > 0 || s.Bytes > 0 || s.BytesTotal > 0
}

// Fraction returns the part of the work that is done, between 0 and 1. It reports false if the total is unknown. Bytes
// count before items, because they say more about the time that the work takes.
func (s State) Fraction() (fraction float64, known bool) {
	done, total := s.Bytes, s.BytesTotal
	if total <= 0 {
		done, total = s.Items, s.ItemsTotal
	}
	if total <= 0 {
		return 0, false
	}
	return min(1, max(0, float64(done)/float64(total))), true
}
