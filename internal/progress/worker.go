package progress

import (
	"fmt"
	"sync"
	"time"
)

// Worker shows the progress of a worker that works on many uploads.
type Worker struct {
	Counters *Counters

	mu   sync.Mutex
	work string
	rate Meter
}

// SetWork sets what the worker does now. The empty string means that it waits.
func (w *Worker) SetWork(work string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work = work
}

// Line describes what the worker does, how much it has packed since it began, and its rate.
func (w *Worker) Line(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()

	bytes := w.Counters.Bytes.Load()
	rate := w.rate.Sample(now, bytes)
	work := w.work

	if work == "" {
		work = "waiting for work"
	}
	return fmt.Sprintf("%s; packed here: %s, %s, %s/s",
		work, Count(w.Counters.Files.Load(), "file"), Bytes(bytes), Bytes(int64(rate)))
}
