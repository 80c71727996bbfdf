package check

import (
	"cmp"
	"context"
	"errors"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// roots makes missing and wrong roots of an upload's entries again from segments, and those of the entries that they
// share content with. The recorded root of the upload proves them: if the whole DAG has another root, roots changes
// nothing.
func (m *mending) roots(ctx context.Context, upload int64) (changed bool, err error) {
	row, err := m.Repo.Upload(ctx, upload)
	if err != nil || !row.Rooted() && row.State != sqlrepo.Linking {
		return false, err
	}

	roots, proven, err := m.rootsOf(ctx, row)
	if err != nil || len(roots) == 0 {
		return false, err
	}

	// The segments do not make the recorded DAG, and so the roots made from them may be wrong.
	if !proven {
		return m.compareShards(ctx, row)
	}

	m.changed(upload)
	if err := m.auditor().SetRoots(ctx, roots); err != nil {
		return false, err
	}
	return true, m.did("upload %d: %s built again from the segments", upload, were(int64(len(roots)), "root"))
}

// rootsOf returns the roots that differ from the recorded ones, as many as one round handles.
func (m *mending) rootsOf(ctx context.Context, upload sqlrepo.Upload) (roots []sqlrepo.Root, proven bool, err error) {
	linking := upload.State == sqlrepo.Linking
	upload.State = sqlrepo.Complete
	walker := reach.Walker{Repo: m.Repo, TempDir: m.TempDir, Rooted: func(entry sqlrepo.Linkable, root unixfs.Link) error {
		known := entry.Known
		right := known != nil && known.CID.Equals(root.CID) && uint64(known.DAGSize) == root.Tsize
		if right || linking && entry.Origin == 0 || len(roots) == mostProblems {
			return nil
		}

		roots = append(roots, sqlrepo.Root{
			Entry: cmp.Or(entry.Origin, entry.ID), CID: sqlrepo.CID{Cid: root.CID}, DAGSize: int64(root.Tsize),
		})
		return nil
	}}

	root, err := walker.Walk(ctx, upload, func([]reach.Block) error { return nil })
	if errors.Is(err, link.ErrInconsistent) || errors.Is(err, link.ErrNoRoot) {
		return nil, false, nil
	}
	return roots, linking || root.Equals(upload.RootCID.Cid), err
}

// compareShards compares the shards of an upload with their files, because a wrong digest may be why the DAG has
// another root than the recorded one. If all digests are right, entries may be missing: the latest upload of a
// source is then scanned again.
func (m *mending) compareShards(ctx context.Context, upload sqlrepo.Upload) (changed bool, err error) {
	shards, err := m.packedShards(ctx, upload.ID, nil)
	if err != nil {
		return false, err
	}
	if changed, err := m.compare(ctx, shards); changed || err != nil {
		return changed, err
	}
	latest, err := m.auditor().IsLatest(ctx, upload.ID)
	if err != nil || !latest {
		return false, err
	}
	return m.reopen(ctx, upload.ID)
}
