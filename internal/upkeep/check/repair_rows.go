package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// order is that in which problems of rows are mended: those that others may follow from come first. Each is dealt with
// by itself, before the rows are looked at again.
var order = [][]string{
	{doCounters, doOrphans, doRevision, doLease, doSettle},
	{doShard, doDigests},
	{doSegments, doEntry},
	{doRoot},
	{doRoots},
	{doSearch},
	{doReplan, doDetach},
	{doReopen, doRelink},
	{doRecount, doContent, doPiece, doForget},
}

// mendRows mends the first kind of problems that there is.
func (m *mending) mendRows(ctx context.Context, problems []Problem) (changed bool, err error) {
	for _, kinds := range order {
		for _, do := range kinds {
			some := slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return !does(p.Code, do) })
			if len(some) == 0 {
				continue
			}
			slices.SortStableFunc(some, func(a, b Problem) int { return cmp.Compare(a.Upload, b.Upload) })
			did, err := m.mend(ctx, do, some)
			if err != nil {
				return changed, err
			}
			changed = changed || did
		}
		if changed {
			return true, nil
		}
	}
	return false, nil
}

// mend does one thing about some problems.
func (m *mending) mend(ctx context.Context, do string, problems []Problem) (changed bool, err error) {
	switch do {
	case doCounters:
		return m.once("the counters were set", nil, func() error { return m.Repo.MendCounters(ctx) })
	case doOrphans:
		return m.once("rows without what they belong to were deleted", nil, func() error { return m.Repo.DeleteOrphans(ctx) })
	case doRevision:
		return m.once("the revisions of spaces were raised", nil, func() error { return m.Repo.MendRevisions(ctx) })
	case doSearch:
		return m.search(ctx, problems)
	case doEntry, doReplan, doDetach, doSegments, doRoot:
		return m.mendEntries(ctx, do, problems)
	}
	for _, problem := range problems {
		did, err := m.mendOne(ctx, do, problem)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

// mendOne mends a problem of one upload or shard.
func (m *mending) mendOne(ctx context.Context, do string, p Problem) (changed bool, err error) {
	switch do {
	case doLease:
		return m.once("upload %d: its leases were cleared", []any{p.Upload}, func() error {
			return m.Repo.MendLeases(ctx, p.Upload)
		})
	case doSettle:
		return m.settle(ctx, p.Upload)
	case doRecount:
		return m.once(wereCounted, []any{p.Upload}, func() error {
			return m.Repo.Recount(ctx, p.Upload)
		})
	case doReopen:
		return m.reopen(ctx, p.Upload)
	case doRelink:
		return m.relink(ctx, p.Upload)
	case doRoots:
		return m.roots(ctx, p.Upload)
	case doContent:
		return m.once("shard %d: its content was summed up", []any{p.Shard}, func() error {
			return m.Repo.MendContent(ctx, p.Shard)
		})
	case doPiece:
		return m.piece(ctx, p.Shard)
	case doForget:
		return m.forgetIndex(ctx, p.Index)
	case doDigests:
		return m.digests(ctx, p.Shard)
	case doShard:
		changed, err = m.shard(ctx, p.Shard)
		if p.other == 0 || err != nil {
			return changed, err
		}
		did, err := m.shard(ctx, p.other)
		return changed || did, err
	}
	return false, nil
}

// wereCounted is done again when other rows of the upload have changed since.
const wereCounted = "upload %d: its rows were counted"

// changed tells that rows of an upload are no longer what was counted.
func (m *mending) changed(upload int64) { delete(m.tried, fmt.Sprintf(wereCounted, upload)) }

// settle sets the state of an upload. One that was complete and lost its root is linked when its rows are mended.
func (m *mending) settle(ctx context.Context, upload int64) (bool, error) {
	return m.once("upload %d: its state was set", []any{upload}, func() error {
		m.unlinked[upload] = true
		return m.Repo.Settle(ctx, upload)
	})
}

// reopen has an upload scanned again if it is the latest of its source, and gives it up else.
func (m *mending) reopen(ctx context.Context, upload int64) (bool, error) {
	latest, err := m.Repo.IsLatest(ctx, upload)
	if err != nil {
		return false, err
	}
	if !latest {
		return m.once("upload %d: it is incomplete, and there is a newer one", []any{upload}, func() error {
			return m.Repo.GiveUp(ctx, upload)
		})
	}
	return m.once("upload %d: it is unfinished; guppy upload goes on with it", []any{upload}, func() error {
		m.changed(upload)
		if _, err := m.compareNodes(ctx, upload); err != nil {
			return err
		}
		return m.Repo.Reopen(ctx, upload)
	})
}

// digests makes the digests of a shard's chunks fit, or has its files planned again.
func (m *mending) digests(ctx context.Context, shard int64) (bool, error) {
	return m.once("shard %d: its chunks were counted", []any{shard}, func() error {
		known, err := m.Repo.MendDigests(ctx, shard)
		if err != nil || known {
			return err
		}
		row, err := m.Repo.Shard(ctx, shard)
		if err != nil {
			return err
		}
		for behind := int64(0); ; {
			entries, err := m.Repo.EntriesOf(ctx, shard, behind)
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

// mendEntries mends problems of entries, those of each upload together.
func (m *mending) mendEntries(ctx context.Context, do string, problems []Problem) (changed bool, err error) {
	entries := map[int64][]int64{}
	var uploads []int64
	for _, p := range problems {
		key := entryKey{do, p.Entry}
		if m.seen[key] {
			continue
		}
		m.seen[key] = true
		if p.Code == sqlrepo.FlawSegmentChunk { // its upload is that of the shard
			if p.Upload, err = m.Repo.UploadOf(ctx, p.Entry); err != nil {
				return false, err
			}
		}
		if len(entries[p.Upload]) == 0 {
			uploads = append(uploads, p.Upload)
		}
		entries[p.Upload] = append(entries[p.Upload], p.Entry)
	}
	for _, upload := range uploads {
		if err := m.mendEntriesOf(ctx, do, upload, entries[upload]); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

func (m *mending) mendEntriesOf(ctx context.Context, do string, upload int64, entries []int64) error {
	m.changed(upload)
	switch do {
	case doSegments:
		if err := m.Repo.ForgetSegments(ctx, entries); err != nil {
			return err
		}
		return m.did("upload %d: segments of %d entries were forgotten", upload, len(entries))
	case doRoot:
		if err := m.Repo.ForgetRoots(ctx, entries); err != nil {
			return err
		}
		return m.did("upload %d: roots of %d entries were forgotten", upload, len(entries))
	case doEntry:
		_, err := m.again(ctx, upload, entries, m.Repo.ForgetEntries, "scanned")
		return err
	}
	_, err := m.replan(ctx, upload, entries)
	return err
}

// replan has files planned again, and leaves those of older uploads out.
func (m *mending) replan(ctx context.Context, upload int64, entries []int64) (again bool, err error) {
	return m.again(ctx, upload, entries, m.Repo.Replan, "planned")
}

// lost is the reason of entries that are left out of an older upload.
const lost = "its content was lost, and there is a newer upload"

func (m *mending) again(ctx context.Context, upload int64, entries []int64, forget func(context.Context, []int64) error,
	what string) (again bool, err error) {
	m.changed(upload)
	state, err := m.Repo.UploadState(ctx, upload)
	if err != nil {
		return false, err
	}
	if state == sqlrepo.Removed {
		return false, m.keepNoMore(ctx, upload, entries)
	}
	latest, err := m.Repo.IsLatest(ctx, upload)
	if err != nil {
		return false, err
	}
	if !latest {
		return false, m.leaveOut(ctx, upload, entries)
	}
	if _, err := m.compareNodes(ctx, upload); err != nil {
		return false, err
	}
	if err := forget(ctx, entries); err != nil {
		return false, err
	}
	if err := m.Repo.Reopen(ctx, upload); err != nil {
		return false, err
	}
	return true, m.did("upload %d: %d entries will be %s again; guppy upload goes on with it", upload, len(entries), what)
}

// leaveOut gives up entries of an older upload, and the upload with them.
func (m *mending) leaveOut(ctx context.Context, upload int64, entries []int64) error {
	if err := m.Repo.LeaveOut(ctx, entries, lost); err != nil {
		return err
	}
	if err := m.Repo.GiveUp(ctx, upload); err != nil {
		return err
	}
	return m.did("upload %d: %d entries were left out: their content is lost", upload, len(entries))
}

// keepNoMore gives up entries that a removed upload keeps for others, which then find that they have lost their origin.
func (m *mending) keepNoMore(ctx context.Context, upload int64, entries []int64) error {
	if err := m.Repo.LeaveOut(ctx, entries, lost); err != nil {
		return err
	}
	return m.did("upload %d: %d entries that it kept for others were given up", upload, len(entries))
}
