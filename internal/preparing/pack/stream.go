package pack

import (
	"context"
	"iter"
	"sync"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// stream reads chunks in many goroutines and passes them on in order.
type stream struct {
	reader  reader
	buffers *Buffers
	// readers is the largest number of concurrent reads.
	readers int
}

// run passes the batches of the segments to write, one after the other, each after all of it was read. It returns
// the first error of write, or else the error of the segments. When run returns, all its goroutines have ended.
func (s *stream) run(ctx context.Context, segments iter.Seq2[sqlrepo.PackSegment, error],
	write func(context.Context, *batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	queue, ordered := make(chan *chunk, s.readers), make(chan *batch, cap(s.buffers.free))
	var running sync.WaitGroup
	var planFailed error
	running.Go(func() {
		defer close(queue)
		defer close(ordered)
		planFailed = cut(segments, func(b *batch) { s.dispatch(ctx, b, queue, ordered) })
	})

	for range s.readers {
		running.Go(func() {
			for c := range queue {
				s.reader.read(ctx, c)
			}
		})
	}

	err := s.write(ctx, ordered, write)
	cancel()

	// After a failure, batches under way still hold buffers, which the worker's next shard needs.
	for b := range ordered {
		<-b.done
		s.buffers.give(b.buffer)
	}

	running.Wait()
	if err == nil {
		err = planFailed
	}
	return err
}

// dispatch queues the chunks of a batch for reading. If ctx has ended, it only closes their files.
func (s *stream) dispatch(ctx context.Context, b *batch, queue chan<- *chunk, ordered chan<- *batch) {
	b.ready(s.buffers.get(ctx))
	if b.buffer == nil {
		for i := range b.chunks {
			s.reader.read(ctx, &b.chunks[i])
		}
		return
	}

	ordered <- b
	for i := range b.chunks {
		queue <- &b.chunks[i]
	}
}

func (s *stream) write(ctx context.Context, ordered <-chan *batch, write func(context.Context, *batch) error) error {
	for b := range ordered {
		<-b.done
		err := write(ctx, b)
		s.buffers.give(b.buffer)
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
