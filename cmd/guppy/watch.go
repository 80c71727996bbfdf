package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// watchEvery is the shortest pause between two samples.
const watchEvery = 2 * time.Second

// seldom returns the pause after a number of queries that keeps them under one a second.
func seldom(queries int) time.Duration { return time.Duration(queries)*time.Second + time.Second/2 }

// pause waits until the next sample may be taken, or ctx ends.
func (s *statusSampler) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(max(watchEvery, seldom(s.queries))):
	}
}

// watch shows a status repeatedly. An interrupt is its normal end.
func (a *app) watch(ctx context.Context, repo *repository, upload *int64) error {
	out, isFile := a.stdout.(*os.File)
	if !a.json && isFile && display.Interactive(os.Stdin, out, a.environ) {
		return a.watchLive(ctx, repo, upload, out)
	}

	sampler := newStatusSampler(repo.Repository, upload)
	sampler.standby = repo.standby
	for {
		view, err := sampler.sample(ctx)
		// A query that was interrupted is no error.
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}

		err = a.print(view, func(w io.Writer) {
			fmt.Fprintln(w, view.Time)
			if len(view.Uploads) == 0 {
				fmt.Fprintln(w, noUploads)
			}
			view.text(w)
		})
		if err != nil || sampler.finished(view) {
			return err
		}

		if sampler.pause(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// finished reports whether no work is left for the chosen upload.
func (s *statusSampler) finished(view *progressView) bool {
	return s.upload != nil && view.Uploads[0].Ended
}

// liveRetryFor is how long a query of a live screen is tried before the screen says why it fails. Then it begins again.
const liveRetryFor = 5 * time.Second

// watchLive fills a terminal with the status until the user quits, or no work is left for the chosen upload.
func (a *app) watchLive(ctx context.Context, repo *repository, upload *int64, out *os.File) error {
	watcher := &watcher{
		sampler: newStatusSampler(sqlrepo.New(repo.db, sqlrepo.WithRetryFor(liveRetryFor)), upload),
		changed: make(chan struct{}, 1),
		seen:    watched{place: a.placedResult},
	}

	watcher.sampler.standby = repo.standby

	shown, hide := context.WithCancel(ctx)
	sampling, stop := context.WithCancel(ctx)
	var sampled sync.WaitGroup
	var last *progressView
	var failed error
	sampled.Go(func() {
		last, failed = watcher.run(sampling)
		hide()
	})

	// The terminal is as it was before the samples are waited for, which may take long.
	err := a.screen.Dashboard(shown, os.Stdin, out, watcher.draw, watcher.changed)
	stop()
	sampled.Wait()

	if err = errors.Join(err, failed); err != nil || last == nil {
		return err
	}
	return a.print(last, last.text)
}

// watcher takes samples for a live screen.
type watcher struct {
	sampler *statusSampler
	changed chan struct{}

	mu   sync.Mutex
	seen watched
}

func (w *watcher) draw(width int) (head string, body []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.draw(time.Now(), width)
}

func (w *watcher) change(change func(*watched)) {
	w.mu.Lock()
	change(&w.seen)
	w.mu.Unlock()

	// One change that has not been drawn yet is enough.
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// run takes samples until ctx ends. If no work is left for the chosen upload, it returns the last sample. A failure
// ends nothing, since the database may come back, unless the chosen upload is gone.
func (w *watcher) run(ctx context.Context) (last *progressView, err error) {
	for ctx.Err() == nil {
		w.change(func(seen *watched) {
			if seen.asking.IsZero() {
				seen.asking = time.Now()
			}
		})

		view, err := w.sampler.sample(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case errors.Is(err, sqlrepo.ErrNotFound):
			return nil, err
		case err != nil:
			w.change(func(seen *watched) { seen.err = err })
		default:
			w.change(func(seen *watched) { seen.add(view, time.Now()) })
			if w.sampler.finished(view) {
				return view, nil
			}
		}
		w.sampler.pause(ctx)
	}
	return nil, nil
}
