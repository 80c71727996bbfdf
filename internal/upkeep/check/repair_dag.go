package check

import (
	"context"
	"errors"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// mendDAGs repairs the DAGs of uploads. The latest upload of each source comes first: its files can be packed again.
// Older uploads follow, which get back the blocks that are packed again.
func (m *mending) mendDAGs(ctx context.Context, r *run) (changed bool, err error) {
	for _, wanted := range []bool{true, false} {
		for upload, err := range r.uploads(ctx) {
			if err != nil {
				return changed, err
			}
			if upload.State == sqlrepo.Removed {
				continue
			}

			latest, err := m.auditor().IsLatest(ctx, upload.ID)
			if err != nil {
				return changed, err
			}

			// The other pass handles this upload.
			if latest != wanted {
				continue
			}

			problems, err := m.collect(r, func(ctx context.Context) error { return r.dag(ctx, upload) })(ctx)
			if err != nil {
				return changed, err
			}

			did, err := m.mendDAG(ctx, upload, latest, problems)
			if err != nil {
				return changed, err
			}
			changed = changed || did
		}
	}
	return changed, nil
}

// mendDAG repairs the DAG of one upload.
func (m *mending) mendDAG(ctx context.Context, upload sqlrepo.Upload, latest bool,
	problems []Problem) (changed bool, err error) {
	if len(problems) == 0 {
		if upload.State == sqlrepo.Linking && m.unlinked[upload.ID] {
			return m.relink(ctx, upload.ID)
		}
		return false, nil
	}

	// A wrong digest in a row looks like a missing block. It is ruled out before any content is given up.
	if changed, err := m.doubt(ctx, upload.ID, problems); changed || err != nil {
		return changed, err
	}
	d := damageOf(problems)
	if err := m.sharedNodes(ctx, &d, problems); err != nil {
		return false, err
	}

	// Only the latest upload of a source can be packed again. An older one may get lost blocks back from newer ones.
	if !latest {
		waits, err := m.waits(ctx, upload.ID, &d)
		if waits || err != nil {
			return false, err
		}
	}

	// A file with another root is only planned again if the root of the upload is wrong as well. Otherwise the
	// recorded root of the file is wrong, and its chunks are right.
	lost := d.files
	if d.root {
		lost = append(lost, d.mismatches...)
	}
	if len(lost) > 0 {
		return true, m.replanLost(ctx, upload.ID, lost)
	}
	return m.mendNodes(ctx, upload.ID, latest, d)
}

// mendNodes repairs the part of a DAG above the chunks.
func (m *mending) mendNodes(ctx context.Context, upload int64, latest bool, d damage) (changed bool, err error) {
	wrong := len(d.roots) > 0 || len(d.mismatches) > 0
	switch {
	case d.unknown, d.root && (latest || len(d.roots) > 0):
		return m.reopen(ctx, upload)
	case d.root:
		return m.relink(ctx, upload)
	case wrong:
		if changed, err := m.roots(ctx, upload); changed || err != nil {
			return changed, err
		}
	}

	if wrong || d.nodes {
		return m.relink(ctx, upload)
	}
	return false, nil
}

// sharedNodes decides how missing nodes are made again. Nodes of the upload's own files need the upload to be linked
// again. Nodes of a shared file come back when the upload of its origin is repaired. If that upload is not complete,
// and so is not linked again, the whole content of the file counts as lost.
func (m *mending) sharedNodes(ctx context.Context, d *damage, problems []Problem) error {
	for _, p := range problems {
		if p.Code != CodeBlockMissing || len(p.blocks) > 0 {
			continue
		}

		origin, err := m.auditor().OriginOf(ctx, p.Entry)
		if err != nil {
			return err
		}

		// Without an origin, the file is the upload's own.
		if origin == p.Entry {
			d.nodes = true
			continue
		}

		owner, err := m.auditor().UploadOf(ctx, origin)
		if err != nil {
			return err
		}

		state, err := m.Repo.UploadState(ctx, owner)
		if err != nil {
			return err
		}
		if state != sqlrepo.Complete {
			d.files = append(d.files, p)
		}
	}
	return nil
}

// waits removes from the damage the files that will be packed again. It reports whether the remaining ones may be
// packed again too, because the space had unfinished uploads before this repair.
func (m *mending) waits(ctx context.Context, upload int64, d *damage) (waits bool, err error) {
	if len(d.files) == 0 {
		return false, nil
	}
	space, err := m.Repo.SpaceOf(ctx, upload)
	if err != nil {
		return false, err
	}

	remaining := slices.DeleteFunc(slices.Clone(d.files), func(p Problem) bool { return m.comesBack(p) })
	if waits = m.open[space] && len(remaining) > 0; waits || len(remaining) < len(d.files) {
		d.files = remaining
		_, err = m.once(change{uploadWaits, upload}, func() error { return nil })
	}
	return waits, err
}

// unfinished returns the spaces that have an upload which guppy upload continues.
func (m *mending) unfinished(ctx context.Context) (spaces map[int64]bool, err error) {
	spaces = map[int64]bool{}
	keys, err := m.auditor().UploadKeys(ctx)
	if err != nil {
		return nil, err
	}

	for _, key := range keys {
		state, err := m.Repo.UploadState(ctx, key)
		if err != nil {
			return nil, err
		}
		if state == sqlrepo.Complete || state == sqlrepo.Incomplete || state == sqlrepo.Removed {
			continue
		}

		// guppy upload only continues the latest upload of a source.
		latest, err := m.auditor().IsLatest(ctx, key)
		if err != nil {
			return nil, err
		}

		space, err := m.Repo.SpaceOf(ctx, key)
		if err != nil && !errors.Is(err, sqlrepo.ErrNotFound) {
			return nil, err
		}
		spaces[space] = spaces[space] || latest
	}
	return spaces, nil
}

// damage describes what is wrong with the DAG of an upload.
type damage struct {
	// files have lost chunks. mismatches are files, and roots other entries, whose root differs from the recorded
	// one.
	files, mismatches, roots []Problem
	// nodes is true if blocks above the chunks are not held, root if the DAG has another root, and unknown if it has
	// no root.
	nodes, root, unknown bool
}

func damageOf(problems []Problem) (d damage) {
	for _, p := range problems {
		switch {
		case p.Code == CodeBlockMissing && len(p.blocks) > 0:
			d.files = append(d.files, p)
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

// mostSuspects bounds how many missing blocks of an upload are looked for in other nodes.
const mostSuspects = 1000

// doubt compares the nodes of shards with the shards' files where a wrong digest may be the cause. These are the
// shards of files with wrong or missing chunks, and the shards with half the digest of a missing block.
func (m *mending) doubt(ctx context.Context, upload int64, problems []Problem) (changed bool, err error) {
	var entries []int64
	var missed []sqlrepo.Digest
	for _, p := range problems {
		if p.Entry != 0 && (p.isFile || len(p.blocks) > 0) {
			entries = append(entries, p.Entry)
		}
		missed = append(missed, p.missed[:min(len(p.missed), mostSuspects-len(missed))]...)
	}

	shards, err := m.auditor().ShardsOfFiles(ctx, entries)
	if err != nil {
		return false, err
	}
	if changed, err := m.compare(ctx, shards); changed || err != nil || len(missed) == 0 || m.suspected[upload] {
		return changed, err
	}

	// The search for similar digests reads many rows. One search for each upload is enough.
	m.suspected[upload] = true
	space, err := m.Repo.SpaceOf(ctx, upload)
	if err != nil {
		return false, err
	}
	if shards, err = m.auditor().Suspects(ctx, space, missed); err != nil {
		return false, err
	}
	return m.compare(ctx, shards)
}

// compare compares the rows of shards with the shards' files. Rows that differ are made again from the file.
func (m *mending) compare(ctx context.Context, shards []int64) (changed bool, err error) {
	for _, id := range shards {
		did, err := m.compareOne(ctx, id)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

// compareNodes compares the DAG shards of a space with their files before an upload of the space is linked again. It
// skips uploads whose store is not there. Without the comparison, linking would store blocks again that a file has
// and no row names, and no earlier step misses such blocks.
func (m *mending) compareNodes(ctx context.Context, upload int64) (changed bool, err error) {
	space, err := m.Repo.SpaceOf(ctx, upload)
	if err != nil {
		return false, err
	}
	keys, err := m.auditor().UploadKeys(ctx)
	if err != nil {
		return false, err
	}

	for _, key := range keys {
		if owner, err := m.Repo.SpaceOf(ctx, key); err != nil || owner != space {
			if err != nil && !errors.Is(err, sqlrepo.ErrNotFound) {
				return changed, err
			}
			continue
		}

		// Blocks may be in the shards of any upload of the space.
		did, err := m.compareNodesOf(ctx, key)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

func (m *mending) compareNodesOf(ctx context.Context, upload int64) (changed bool, err error) {
	if _, err := m.requireStore(ctx, upload); errors.Is(err, ErrStoreUnknown) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	kind := sqlrepo.DAGShard
	shards, err := m.packedShards(ctx, upload, &kind)
	if err != nil {
		return false, err
	}
	return m.compare(ctx, shards)
}

func (m *mending) packedShards(ctx context.Context, upload int64, kind *sqlrepo.ShardKind) (shards []int64, err error) {
	filter := sqlrepo.ShardFilter{Kind: kind, States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for row, err := range m.Repo.Shards(ctx, upload, filter) {
		if err != nil {
			return nil, err
		}
		shards = append(shards, row.ID)
	}
	return shards, nil
}

func (m *mending) compareOne(ctx context.Context, id int64) (changed bool, err error) {
	row, err := m.Repo.Shard(ctx, id)
	if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && (m.read[id] || row.State != sqlrepo.ShardPacked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := m.requireStore(ctx, row.Upload); err != nil {
		return false, err
	}

	// With the upload marked as flawed, rows that can't be read are a problem and not an error.
	r := &run{Checker: &m.Checker, flawed: map[int64]bool{row.Upload: true}}
	problem, err := r.lookAt(ctx, row, true, nil)
	if err != nil {
		return false, err
	}

	// A shard that is right need not be read again.
	if problem == nil {
		m.read[id] = true
		return false, nil
	}
	return m.shard(ctx, id)
}

// comesBack reports whether all blocks known to be missing from a file will be packed or linked again.
func (m *mending) comesBack(p Problem) bool {
	return !slices.ContainsFunc(slices.Concat(p.blocks, p.missed), func(digest sqlrepo.Digest) bool {
		_, restored := m.restored[digest]
		return !restored
	})
}

// replanLost arranges for files whose chunks are lost to be planned again.
func (m *mending) replanLost(ctx context.Context, upload int64, files []Problem) error {
	var entries []int64
	for _, file := range files {
		entries = append(entries, file.Entry)
	}
	again, err := m.replan(ctx, upload, entries)
	if err != nil || !again {
		return err
	}

	// Older uploads that miss the same blocks need not give them up.
	for _, file := range files {
		for _, digest := range slices.Concat(file.blocks, file.missed) {
			m.restored[digest] = struct{}{}
		}
	}
	return nil
}
