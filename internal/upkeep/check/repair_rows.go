package check

import (
	"cmp"
	"context"
	"slices"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// order lists the actions on rows in groups. Problems that may cause others come first. After each group that
// changes something, the rows are checked again.
var order = [][]action{
	{raiseCounters, deleteOrphans, raiseRevision, clearLeases, settleUpload, forgetStop},
	{remakeShard, countChunks},
	{forgetSegments, rescanEntry},
	{forgetRoot},
	{remakeRoots},
	{searchSegments},
	{replanFile, detachFile},
	{reopenUpload, relinkUpload},
	{recountRows, sumContent, computePiece, forgetIndex},
	{recountReplicas},
}

// mendRows carries out the first group of actions that changes something.
func (m *mending) mendRows(ctx context.Context, problems []Problem) (changed bool, err error) {
	for _, group := range order {
		for _, todo := range group {
			concerned := slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool {
				return !remedies[p.Code].includes(todo)
			})
			if len(concerned) == 0 {
				continue
			}

			slices.SortStableFunc(concerned, func(a, b Problem) int { return cmp.Compare(a.Upload, b.Upload) })
			did, err := m.mend(ctx, todo, concerned)
			if err != nil {
				return changed, err
			}
			changed = changed || did
		}

		// Problems of later groups may follow from those just repaired. The next round looks for them again.
		if changed {
			return true, nil
		}
	}
	return false, nil
}

// mend carries out one action on all its problems.
func (m *mending) mend(ctx context.Context, todo action, problems []Problem) (changed bool, err error) {
	switch todo {
	case raiseCounters:
		return m.once(change{kind: countersSet}, func() error { return m.auditor().MendCounters(ctx) })
	case deleteOrphans:
		return m.once(change{kind: orphansDeleted}, func() error { return m.auditor().DeleteOrphans(ctx) })
	case raiseRevision:
		return m.once(change{kind: revisionsRaised}, func() error { return m.auditor().MendRevisions(ctx) })
	case recountReplicas:
		// Other repairs change what replicas lack without counting it.
		if err := m.auditor().MendReplicaCounts(ctx); err != nil {
			return false, err
		}
		return true, m.did("%s", change{kind: replicasCounted})
	case searchSegments:
		return m.search(ctx, problems)
	case rescanEntry, replanFile, detachFile, forgetSegments, forgetRoot:
		return m.mendEntries(ctx, todo, problems)
	}

	for _, problem := range problems {
		did, err := m.mendOne(ctx, todo, problem)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

// mendOne carries out an action on one upload, shard or index.
func (m *mending) mendOne(ctx context.Context, todo action, p Problem) (changed bool, err error) {
	switch todo {
	case clearLeases:
		return m.once(change{leasesCleared, p.Upload}, func() error { return m.auditor().MendLeases(ctx, p.Upload) })
	case forgetStop:
		return m.once(change{stopForgotten, p.Upload}, func() error { return m.auditor().ForgetStop(ctx, p.Upload) })
	case settleUpload:
		return m.settle(ctx, p.Upload)
	case recountRows:
		return m.once(change{rowsCounted, p.Upload}, func() error { return m.auditor().Recount(ctx, p.Upload) })
	case reopenUpload:
		return m.reopen(ctx, p.Upload)
	case relinkUpload:
		return m.relink(ctx, p.Upload)
	case remakeRoots:
		return m.roots(ctx, p.Upload)
	case sumContent:
		return m.once(change{contentSummed, p.Shard}, func() error { return m.auditor().MendContent(ctx, p.Shard) })
	case computePiece:
		return m.piece(ctx, p.Shard)
	case forgetIndex:
		return m.forgetIndex(ctx, p.Index)
	case countChunks:
		return m.digests(ctx, p.Shard)
	case remakeShard:
		return m.shards(ctx, p)
	}
	return false, nil
}

// shards makes the rows of a problem's shard again, and those of the other shard if the problem names two.
func (m *mending) shards(ctx context.Context, p Problem) (changed bool, err error) {
	changed, err = m.shard(ctx, p.Shard)
	if p.other == 0 || err != nil {
		return changed, err
	}
	did, err := m.shard(ctx, p.other)
	return changed || did, err
}

// settle sets the state of an upload. An upload that was complete and lost its root is linked after its rows are
// repaired.
func (m *mending) settle(ctx context.Context, upload int64) (bool, error) {
	return m.once(change{stateSet, upload}, func() error {
		m.unlinked[upload] = true
		return m.auditor().Settle(ctx, upload)
	})
}

// reopen lets an upload be scanned again if it is the latest of its source. An older upload becomes incomplete.
func (m *mending) reopen(ctx context.Context, upload int64) (bool, error) {
	latest, err := m.auditor().IsLatest(ctx, upload)
	if err != nil {
		return false, err
	}
	if !latest {
		return m.once(change{uploadIncomplete, upload}, func() error { return m.auditor().GiveUp(ctx, upload) })
	}

	return m.once(change{uploadReopened, upload}, func() error {
		m.changed(upload)
		if _, err := m.compareNodes(ctx, upload); err != nil {
			return err
		}
		return m.auditor().Reopen(ctx, upload)
	})
}

// digests makes a shard's number of chunks and their digests agree. If some digests are not known, the files of the
// shard are planned again.
func (m *mending) digests(ctx context.Context, shard int64) (bool, error) {
	return m.once(change{chunksCounted, shard}, func() error {
		known, err := m.auditor().MendDigests(ctx, shard)
		if err != nil || known {
			return err
		}

		row, err := m.Repo.Shard(ctx, shard)
		if err != nil {
			return err
		}

		for behind := int64(0); ; {
			entries, err := m.auditor().EntriesOf(ctx, shard, behind)
			if err != nil || len(entries) == 0 {
				return err
			}
			behind = entries[len(entries)-1]
			if _, err := m.replan(ctx, row.Upload, entries); err != nil {
				return err
			}
		}
	})
}

// mendEntries carries out an action on entries, grouped by upload.
func (m *mending) mendEntries(ctx context.Context, todo action, problems []Problem) (changed bool, err error) {
	entries := map[int64][]int64{}
	var uploads []int64
	for _, p := range problems {
		key := entryKey{todo, p.Entry}
		if m.seen[key] {
			continue
		}
		m.seen[key] = true

		if p.Code == audit.FlawSegmentChunk { // p.Upload is the upload of the shard
			if p.Upload, err = m.auditor().UploadOf(ctx, p.Entry); err != nil {
				return false, err
			}
		}

		if len(entries[p.Upload]) == 0 {
			uploads = append(uploads, p.Upload)
		}
		entries[p.Upload] = append(entries[p.Upload], p.Entry)
	}

	for _, upload := range uploads {
		if err := m.mendEntriesOf(ctx, todo, upload, entries[upload]); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

func (m *mending) mendEntriesOf(ctx context.Context, todo action, upload int64, entries []int64) error {
	m.changed(upload)
	switch todo {
	case forgetSegments:
		if err := m.auditor().ForgetSegments(ctx, entries); err != nil {
			return err
		}
		return m.did("upload %d: segments of %s were deleted", upload, progress.Count(int64(len(entries)), "entry"))
	case forgetRoot:
		if err := m.auditor().ForgetRoots(ctx, entries); err != nil {
			return err
		}
		return m.did("upload %d: roots of %s were deleted", upload, progress.Count(int64(len(entries)), "entry"))
	case rescanEntry:
		_, err := m.again(ctx, upload, entries, m.auditor().ForgetEntries, "scanned")
		return err
	}
	_, err := m.replan(ctx, upload, entries)
	return err
}

// replan lets files be planned again. Files of older uploads are left out.
func (m *mending) replan(ctx context.Context, upload int64, entries []int64) (again bool, err error) {
	return m.again(ctx, upload, entries, m.auditor().Replan, "planned")
}

// lost is recorded as the reason for entries that are left out of an older upload.
const lost = "its content was lost, and there is a newer upload"

// again calls forget on entries of the latest upload of a source, which is unfinished afterwards, and reports
// whether it did. Entries of any other upload are given up. The participle tells the user what will be done to the
// entries again.
func (m *mending) again(ctx context.Context, upload int64, entries []int64, forget func(context.Context, []int64) error,
	participle string) (again bool, err error) {
	m.changed(upload)
	state, err := m.Repo.UploadState(ctx, upload)
	if err != nil {
		return false, err
	}
	if state == sqlrepo.Removed {
		return false, m.keepNoMore(ctx, upload, entries)
	}

	latest, err := m.auditor().IsLatest(ctx, upload)
	if err != nil {
		return false, err
	}
	if !latest {
		return false, m.leaveOut(ctx, upload, entries)
	}

	// The upload will be linked again.
	if _, err := m.compareNodes(ctx, upload); err != nil {
		return false, err
	}
	if err := forget(ctx, entries); err != nil {
		return false, err
	}

	if err := m.auditor().Reopen(ctx, upload); err != nil {
		return false, err
	}
	return true, m.did("upload %d: %s will be %s again; guppy status %[1]d prints the command that continues it",
		upload, progress.Count(int64(len(entries)), "entry"), participle)
}

// leaveOut gives up entries of an older upload, and the upload with them.
func (m *mending) leaveOut(ctx context.Context, upload int64, entries []int64) error {
	if err := m.auditor().LeaveOut(ctx, entries, lost); err != nil {
		return err
	}
	if err := m.auditor().GiveUp(ctx, upload); err != nil {
		return err
	}
	return m.did("upload %d: %s left out: the content is lost", upload, were(int64(len(entries)), "entry"))
}

// keepNoMore gives up entries that a removed upload keeps for others. The others then find that their origin is
// lost.
func (m *mending) keepNoMore(ctx context.Context, upload int64, entries []int64) error {
	if err := m.auditor().LeaveOut(ctx, entries, lost); err != nil {
		return err
	}
	return m.did("upload %d: %s deleted that it kept for others", upload, were(int64(len(entries)), "entry"))
}

// were returns the subject of a sentence in the passive, such as "1 entry was" or "2 entries were".
func were(n int64, one string) string {
	if n == 1 {
		return "1 " + one + " was"
	}
	return progress.Count(n, one) + " were"
}
