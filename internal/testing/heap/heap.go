// Package heap measures the memory that work needs, for tests.
package heap

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// Peak is the largest heap, in bytes. Live is what a garbage collection found in use; All includes what was not
// collected yet.
type Peak struct{ Live, All uint64 }

// PeakWhile returns the largest heap while work runs.
func PeakWhile(work func()) (peak Peak) {
	runtime.GC()
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(samples)
			peak.Live = max(peak.Live, samples[0].Value.Uint64())
			peak.All = max(peak.All, samples[1].Value.Uint64())

			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()

	work()
	close(done)
	<-sampled
	return peak
}
