package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrStoreUnknown is returned when a store can't be identified as the store of the uploads. Nothing is given up for
// files that are missing from such a store.
var ErrStoreUnknown = errors.New("not known to be the store of the uploads")

// Repairer repairs a repository. Uploads that have lost content can be completed again afterwards.
type Repairer struct {
	Checker
	// Link links a packed upload of a space. It can use its store, but not the source.
	Link func(ctx context.Context, space sqlrepo.Space, upload int64, files store.Store) error
	// GiveUp allows blocks to be given up that no store has. Their files are planned again, or left out of older uploads.
	GiveUp bool
	// Did is called after each change.
	Did func(change string) error
}

// mostRounds bounds the rounds of one repair. Each round repairs something that earlier rounds did not.
const mostRounds = 100

// Run repairs the problems that it finds, in rounds: when a cause is repaired, the problems that may follow from it
// are looked for again. It deletes no good block. The caller must keep all other processes away: see Lock.
func (r *Repairer) Run(ctx context.Context) error {
	m := &mending{
		Repairer: r, tried: map[change]bool{}, seen: map[entryKey]bool{}, read: map[int64]bool{},
		restored: map[sqlrepo.Digest]struct{}{}, unlinked: map[int64]bool{}, suspected: map[int64]bool{},
		foundBefore: map[int64]bool{}, unnamed: map[string]map[int64][]string{},
	}

	// What a store that is away may have is not given up.
	for _, place := range r.Stores {
		if r.GiveUp && place.Files == nil {
			err := fmt.Errorf("nothing is given up while a store is away that may have it: %w", place.Absent)
			if place.Store.Name != "" {
				err = fmt.Errorf("%w. If no upload has this store, guppy store rm %s --lost forgets it", err, place.Store.Name)
			}
			return err
		}
	}

	var err error
	if m.open, err = m.unfinished(ctx); err != nil {
		return err
	}

	// Each round starts from the rows again, as one repair may reveal or solve other problems.
	for range mostRounds {
		changed, err := m.round(ctx)
		if err != nil {
			return err
		}
		if changed {
			continue
		}

		// Replicas come last: the stores of the uploads may need what they have, and have all that is good by now.
		if err := m.index(ctx); err != nil {
			return err
		}
		return m.mendCopies(ctx)
	}
	return fmt.Errorf("%d rounds of repair were not enough", mostRounds)
}

// Lock keeps all other processes away until the lock is released. It returns sqlrepo.ErrLocked or sqlrepo.ErrAtWork,
// with the name of the other process, if one is at work. The returned context ends when the lock is lost.
func Lock(ctx context.Context, repo *sqlrepo.Repository) (locked context.Context, lock dialect.Lock, err error) {
	lock, err = repo.LockAll(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := repo.AtWork(ctx); err != nil {
		return nil, nil, errors.Join(err, lock.Release())
	}
	return lock.Watch(ctx), lock, nil
}

// mending is one repair.
type mending struct {
	*Repairer
	// tried and seen hold the changes made so far, and the entries they were made on. A change that did not help is
	// not made a second time.
	tried map[change]bool
	seen  map[entryKey]bool
	// files is true once the store has been looked at.
	files bool
	// read holds the shards whose nodes were compared with their files, and restored the chunks that will be packed
	// again.
	read     map[int64]bool
	restored map[sqlrepo.Digest]struct{}
	// unnamed holds the names of shard files that no row names, by store and size.
	unnamed map[string]map[int64][]string
	// open holds the spaces that had unfinished uploads when the repair began. Those uploads may pack again what
	// others have lost.
	open map[int64]bool
	// unlinked holds the uploads that were complete and have to be linked, and suspected the uploads whose missing
	// blocks were looked for under wrong digests.
	unlinked, suspected map[int64]bool
	// searches counts how often a shard was searched for segments. found holds the files whose segments were found
	// in this round, and foundBefore those of all rounds.
	searches           int
	found, foundBefore map[int64]bool
}

// entryKey is an action on one entry.
type entryKey struct {
	action action
	entry  int64
}

// mostProblems bounds the problems that one round handles. The next round finds the rest.
const mostProblems = 100_000

var errMany = errors.New("enough for one round")

// collect returns a function that gathers the problems of one phase of a check. Notes are left out.
func (m *mending) collect(r *run, phase func(context.Context) error) func(context.Context) ([]Problem, error) {
	return func(ctx context.Context) (problems []Problem, err error) {
		r.report = func(p Problem) error {
			if p.Note {
				return nil
			}
			if problems = append(problems, p); len(problems) == mostProblems {
				return errMany
			}
			return nil
		}
		if err := phase(ctx); !errors.Is(err, errMany) {
			return problems, err
		}
		return problems, nil
	}
}

// round repairs the problems of the first phase that finds any. Later phases depend on rows that the earlier ones
// have proved right.
func (m *mending) round(ctx context.Context) (changed bool, err error) {
	r := &run{Checker: &m.Checker, flawed: map[int64]bool{}}
	m.found = map[int64]bool{}
	problems, err := m.collect(r, r.rows)(ctx)
	if err != nil {
		return false, err
	}

	// The identity of the store comes first: repairs of rows may read its files.
	if changed, err := m.identify(ctx, r); changed || err != nil {
		return changed, err
	}
	if changed, err := m.mendRows(ctx, problems); changed || err != nil {
		return changed, err
	}

	// The files are checked only once, since that takes long.
	if !m.files && len(m.Stores) > 0 {
		m.files = true
		problems, err := m.collect(r, r.files)(ctx)
		if err != nil {
			return false, err
		}

		if changed, err := m.mendFiles(ctx, problems); changed || err != nil {
			return changed, err
		}
	}
	return m.mendDAGs(ctx, r)
}
