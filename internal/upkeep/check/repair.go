package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrStoreUnknown is returned when a store can't be told to be that of the uploads, so that nothing is given up for
// what is not in it.
var ErrStoreUnknown = errors.New("this is not known to be the store of the uploads")

// Repairer mends a repository, so that the uploads that have lost something can be completed again.
type Repairer struct {
	Checker
	// Link links an upload of a space that is packed. It has the store, but not the source.
	Link func(ctx context.Context, space sqlrepo.Space, upload int64) error
	// Did is called with each change that was made.
	Did func(change string) error
}

// mostRounds bounds how often what is left is looked for again. Each round mends something that the ones before did
// not.
const mostRounds = 100

// Run mends what it finds, in rounds: what follows from something is looked at again when that is mended. It deletes no
// block that is good. The caller keeps everybody else away: see Lock.
func (r *Repairer) Run(ctx context.Context) error {
	m := &mending{
		Repairer: r, tried: map[change]bool{}, seen: map[entryKey]bool{}, read: map[int64]bool{},
		restored: map[sqlrepo.Digest]struct{}{}, unlinked: map[int64]bool{}, suspected: map[int64]bool{},
		foundBefore: map[int64]bool{},
	}
	var err error
	if m.open, err = m.unfinished(ctx); err != nil {
		return err
	}
	for range mostRounds {
		changed, err := m.round(ctx)
		if err != nil {
			return err
		}
		if !changed {
			return m.index(ctx)
		}
	}
	return fmt.Errorf("%d rounds of repair were not enough", mostRounds)
}

// Lock keeps everybody else away until the lock is released. It returns sqlrepo.ErrLocked or sqlrepo.ErrAtWork, with
// who it is, when somebody is at work. The context that it returns ends when the lock is lost.
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
	// tried is what was done already, and seen with which entries: what does not help is not done again.
	tried map[change]bool
	seen  map[entryKey]bool
	// files tells that the store was looked at.
	files bool
	// read are the shards whose nodes were compared with their files, restored the chunks that will be packed again.
	read     map[int64]bool
	restored map[sqlrepo.Digest]struct{}
	// open are the spaces that had unfinished uploads, which may pack again what others have lost.
	open map[int64]bool
	// unlinked are the uploads that were complete and are to be linked, suspected those whose missing blocks were looked
	// for under wrong digests.
	unlinked, suspected map[int64]bool
	// searches counts how often a shard was looked through for segments; found are the files of which they were, in this
	// round and foundBefore in all.
	searches           int
	found, foundBefore map[int64]bool
}

// entryKey is an action on an entry.
type entryKey struct {
	action action
	entry  int64
}

// mostProblems bounds what one round deals with. What is left comes up in the next.
const mostProblems = 100_000

var errMany = errors.New("enough for one round")

// collect gathers the problems that one phase of a check finds.
func (m *mending) collect(run *run, phase func(context.Context) error) func(context.Context) ([]Problem, error) {
	return func(ctx context.Context) (problems []Problem, err error) {
		run.report = func(p Problem) error {
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

// round mends what the first phase finds that finds something.
func (m *mending) round(ctx context.Context) (changed bool, err error) {
	run := &run{Checker: &m.Checker, flawed: map[int64]bool{}}
	m.found = map[int64]bool{}
	problems, err := m.collect(run, run.rows)(ctx)
	if err != nil {
		return false, err
	}
	if changed, err := m.identify(ctx, run); changed || err != nil {
		return changed, err
	}
	if changed, err := m.mendRows(ctx, problems); changed || err != nil {
		return changed, err
	}
	if !m.files && m.Store != nil {
		m.files = true
		problems, err := m.collect(run, run.files)(ctx)
		if err != nil {
			return false, err
		}
		if changed, err := m.mendFiles(ctx, problems); changed || err != nil {
			return changed, err
		}
	}
	return m.mendDAGs(ctx, run)
}
