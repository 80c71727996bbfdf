package progress

import (
	"fmt"
	"sync"
	"time"
)

// Worker shows the progress of a worker that works on many uploads.
type Worker struct {
	Counters *Counters

	mu    sync.Mutex
	doing string
	rate  Meter
}

// Do sets what the worker does now. The empty string means that it waits.
func (w *Worker) Do(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing = what
}

// Line describes what the worker does, how much it has packed since it began, and its rate.
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
