package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// lookEvery is the shortest pause between two looks at the work of a worker.
const lookEvery = 5 * time.Second

// showWork shows what a worker does until stop is called.
func (a *app) showWork(ctx context.Context, worker *pipeline.Worker) (stop func()) {
	var doing atomic.Pointer[string]
	hide := a.showProgress(ctx, func() progress.State { return workState(worker.Progress.State(), doing.Load()) })
	ctx, cancel := context.WithCancel(ctx)

	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			work, queries, err := currentWork(ctx, worker.Repo, worker.Filter, presence.Name())
			if err == nil {
				doing.Store(&work)
			}

			// The more shards are under way, the more queries a look takes, and the longer is the pause.
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(lookEvery, seldom(queries))):
			}
		}
	})

	return func() {
		cancel()
		looking.Wait()
		hide()
	}
}

// workState returns how far a worker is that works on many uploads: what it does, and what was packed, since it joined
// in, of the uploads that it takes part in.
func workState(state progress.State, doing *string) progress.State {
	state.Doing, state.Work = "waiting for work", "work"
	if doing != nil && *doing != "" {
		state.Doing = *doing
	}
	return state
}

// currentWork describes the work on which the worker holds leases. It also returns the number of queries that it
// made.
func currentWork(ctx context.Context, repo *sqlrepo.Repository, filter sqlrepo.OpenFilter, worker string,
) (work string, queries int, err error) {
	open, err := repo.OpenUploads(ctx, filter)
	queries++

	var all []string
	for _, upload := range open {
		if upload.Token != 0 && upload.Worker == worker {
			all = append(all, fmt.Sprintf("%s upload %d", upload.State, upload.ID))
		}

		if upload.State != sqlrepo.Packing || err != nil {
			continue
		}

		var shards []sqlrepo.Shard
		shards, err = repo.ShardsUnderWay(ctx, upload.ID)
		queries++

		var ordinals []string
		for _, shard := range shards {
			if shard.Token != 0 && shard.Worker == worker {
				ordinals = append(ordinals, fmt.Sprint(shard.Ordinal))
			}
		}
		if len(ordinals) > 0 {
			all = append(all, fmt.Sprintf("packing shards %s of upload %d", strings.Join(ordinals, ", "), upload.ID))
		}
	}
	if err != nil {
		return "", queries, err
	}

	sendings, err := repo.Sendings(ctx, filter.Spaces)
	queries++
	others := func(sending sqlrepo.Sending) bool { return sending.Token == 0 || sending.Worker != worker }
	if sendings = slices.DeleteFunc(sendings, others); len(sendings) > 0 {
		all = append(all, "sending "+plural(int64(len(sendings)), "file")+" to replicas")
	}
	return strings.Join(all, "; "), queries, err
}
