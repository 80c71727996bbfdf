package progress

import "sync/atomic"

// Task counts a piece of work that goes through stages. It is safe for concurrent use. A nil Task counts nothing.
type Task struct {
	now   atomic.Pointer[counting]
	parts parts
}

// counting holds the counts of one stage.
type counting struct {
	doing, item       string
	items, itemsTotal atomic.Int64
	bytes, bytesTotal atomic.Int64
}

// NewTask returns a task whose first stage is called doing and counts items with the given singular.
func NewTask(doing, item string) *Task {
	t := &Task{}
	t.Begin(doing, item)
	return t
}

// Begin begins a stage. Its counts and totals are 0.
func (t *Task) Begin(doing, item string) {
	if t != nil {
		t.now.Store(&counting{doing: doing, item: item})
	}
}

// Expect adds to the totals of the stage.
func (t *Task) Expect(items, bytes int64) {
	if t != nil {
		now := t.now.Load()
		now.itemsTotal.Add(items)
		now.bytesTotal.Add(bytes)
	}
}

// Add adds to what the stage has done.
func (t *Task) Add(items, bytes int64) {
	if t != nil {
		now := t.now.Load()
		now.items.Add(items)
		now.bytes.Add(bytes)
	}
}

// Settle sets the totals of the stage to what was counted, for work that turned out to be other than expected.
func (t *Task) Settle() {
	if t != nil {
		now := t.now.Load()
		now.itemsTotal.Store(now.items.Load())
		now.bytesTotal.Store(now.bytes.Load())
	}
}

// Follow sets how far a stage is that counts by itself. It begins the stage unless that is the present one.
func (t *Task) Follow(doing, item string, items, total int64) {
	if t == nil {
		return
	}
	if now := t.now.Load(); now.doing != doing || now.item != item {
		t.Begin(doing, item)
	}
	now := t.now.Load()
	now.items.Store(items)
	now.itemsTotal.Store(total)
}

// FollowBytes sets how far the bytes of a stage are that counts by itself.
func (t *Task) FollowBytes(bytes, total int64) {
	if t != nil {
		now := t.now.Load()
		now.bytes.Store(bytes)
		now.bytesTotal.Store(total)
	}
}

// State returns the state of the present stage, with the parts that are under way in the order in which they began.
func (t *Task) State() State {
	now := t.now.Load()
	return State{
		Doing: now.doing, Item: now.item, Items: now.items.Load(), ItemsTotal: now.itemsTotal.Load(),
		Bytes: now.bytes.Load(), BytesTotal: now.bytesTotal.Load(), Parts: t.parts.states(),
	}
}

// Part begins a part of the task, of so many bytes, or 0 if that is unknown. What it counts counts for the task, too.
// The caller ends it with End.
func (t *Task) Part(name string, bytes int64) *Part {
	if t == nil {
		return nil
	}
	return t.parts.begin(name, bytes, func(n int64) { t.Add(0, n) })
}
