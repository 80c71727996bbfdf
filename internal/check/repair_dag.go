package check

import (
	"context"
	"errors"
	"slices"

	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// mendDAGs mends the DAGs of uploads: first the latest of each source, whose files can be packed again, then those that
// are older, which get back what is packed again.
func (m *mending) mendDAGs(ctx context.Context, run *run) (changed bool, err error) {
	for _, wanted := range []bool{true, false} {
		for upload, err := range run.uploads(ctx) {
			if err != nil {
				return changed, err
			}
			latest, err := m.Repo.IsLatest(ctx, upload.ID)
			if err != nil {
				return changed, err
			}
			if latest != wanted {
				continue
			}
			problems, err := m.collect(run, func(ctx context.Context) error { return run.dag(ctx, upload) })(ctx)
			if err != nil {
				return changed, err
			}
			did, err := m.mendDAG(ctx, upload.ID, latest, problems)
			if err != nil {
				return changed, err
			}
			changed = changed || did
		}
	}
	return changed, nil
}

// mendDAG mends the DAG of one upload.
func (m *mending) mendDAG(ctx context.Context, upload int64, latest bool,
	problems []Problem) (changed bool, err error) {
	if len(problems) == 0 {
		return false, nil
	}
	if changed, err := m.doubt(ctx, problems); changed || err != nil {
		return changed, err
	}
	d := damageOf(problems)
	gone := d.files
	if !latest {
		gone = slices.DeleteFunc(gone, func(p Problem) bool { return m.comesBack(p.blocks) })
	}
	if d.root {
		gone = append(gone, d.mismatches...)
	}
	if len(gone) > 0 {
		return true, m.gone(ctx, upload, gone)
	}
	switch {
	case d.unknown, d.root && (latest || len(d.roots) > 0):
		return m.reopen(ctx, upload)
	case d.root, d.nodes, len(d.roots) > 0, len(d.mismatches) > 0:
		return m.relink(ctx, upload)
	}
	return false, nil
}

// damage is what is wrong with the DAG of an upload.
type damage struct {
	// files have lost chunks; mismatches are files, roots other entries, whose root is not what is recorded.
	files, mismatches, roots []Problem
	// nodes tells that blocks above the chunks are not held, root that the DAG has another root, unknown that it has none.
	nodes, root, unknown bool
}

func damageOf(problems []Problem) (d damage) {
	for _, p := range problems {
		switch {
		case p.Code == CodeBlockMissing && len(p.blocks) > 0:
			d.files = append(d.files, p)
		case p.Code == CodeBlockMissing:
			d.nodes = true
		case p.Code == CodeRootMismatch && p.isFile:
			d.mismatches = append(d.mismatches, p)
		case p.Code == CodeRootMismatch:
			d.roots = append(d.roots, p)
		case p.Code == CodeDAGRoot:
			d.root = true
		case p.Code == CodeDAGUnknown:
			d.unknown = true
		}
	}
	return d
}

// doubt compares the nodes of the shards that files with wrong or missing chunks are in with the shards' files: what is
// wrong may be a digest.
func (m *mending) doubt(ctx context.Context, problems []Problem) (changed bool, err error) {
	var entries []int64
	for _, p := range problems {
		if p.Entry != 0 && (p.isFile || len(p.blocks) > 0) {
			entries = append(entries, p.Entry)
		}
	}
	shards, err := m.Repo.ShardsOfFiles(ctx, entries)
	if err != nil {
		return false, err
	}
	for _, id := range shards {
		row, err := m.Repo.Shard(ctx, id)
		if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && (m.read[id] || row.State != sqlrepo.ShardPacked) {
			continue
		}
		if err != nil {
			return changed, err
		}
		if err := m.here(ctx, row.Upload); err != nil {
			return changed, err
		}
		run := &run{Checker: &m.Checker, flawed: map[int64]bool{row.Upload: true}}
		problem, err := run.lookAt(ctx, row, true)
		if err != nil {
			return changed, err
		}
		if problem == nil {
			m.read[id] = true
			continue
		}
		did, err := m.shard(ctx, id)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

// comesBack tells whether all of some chunks will be packed again.
func (m *mending) comesBack(blocks []sqlrepo.Digest) bool {
	return !slices.ContainsFunc(blocks, func(digest sqlrepo.Digest) bool {
		_, restored := m.restored[digest]
		return !restored
	})
}

// gone has files planned again whose chunks are lost.
func (m *mending) gone(ctx context.Context, upload int64, files []Problem) error {
	var entries []int64
	for _, file := range files {
		entries = append(entries, file.Entry)
	}
	again, err := m.replan(ctx, upload, entries)
	if err != nil || !again {
		return err
	}
	for _, file := range files {
		for _, digest := range file.blocks {
			m.restored[digest] = struct{}{}
		}
	}
	return nil
}

// link links an upload whose state says so. It needs the store, but not the source.
func (m *mending) link(ctx context.Context, upload sqlrepo.Upload) error {
	if err := m.here(ctx, upload.ID); err != nil {
		return err
	}
	key, err := m.Repo.SpaceOf(ctx, upload.ID)
	if err != nil {
		return err
	}
	spaces, err := m.Repo.Spaces(ctx)
	if err != nil {
		return err
	}
	site := &pipeline.Site{Store: m.Store, FS: source.Local()}
	for _, space := range spaces {
		if space.ID == key {
			site.Space = space
		}
	}
	worker := pipeline.Worker{
		Repo: m.Repo, Filter: sqlrepo.OpenFilter{Uploads: []int64{upload.ID}}, Workers: 1, ReadAhead: 1, TempDir: m.TempDir,
		Locate:   func(context.Context, sqlrepo.OpenUpload) (*pipeline.Site, error) { return site, nil },
		Progress: &progress.Counters{}, Log: m.Log,
	}
	return worker.Run(ctx)
}
