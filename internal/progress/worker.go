package progress

import (
	"fmt"
	"sync"
	"time"
)

// Worker tells how a worker of many uploads gets on.
type Worker struct {
	Counters *Counters

	mu    sync.Mutex
	doing string
	rate  Meter
}

// Do names what the worker does now, "" for nothing.
func (w *Worker) Do(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing = what
}

// Line says what the worker does, what it has packed since it began, and how fast.
func (w *Worker) Line(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	bytes := w.Counters.Bytes.Load()
	rate := w.rate.Sample(now, bytes)
	doing := w.doing
	if doing == "" {
		doing = "waiting for work"
	}
	return fmt.Sprintf("%s; packed here: %d files, %s, %s/s",
		doing, w.Counters.Files.Load(), Bytes(bytes), Bytes(int64(rate)))
}
