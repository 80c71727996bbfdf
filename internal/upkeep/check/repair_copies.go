package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// mendCopies brings good files to replicas that have lost or damaged their copies. Each copy is mended when it is
// found.
func (m *mending) mendCopies(ctx context.Context) error {
	r := &run{Checker: &m.Checker, flawed: map[int64]bool{}}
	r.report = func(p Problem) error {
		switch remedies[p.Code].action {
		case restoreCopy:
			return m.mendCopy(ctx, p)
		case fillReplica:
			return m.fill(ctx, p)
		}
		return nil
	}
	return r.copies(ctx)
}

// mendCopy copies a good file to a replica. The file takes the place of a damaged one at once, and only when all its
// bytes are proved. The copy stays recorded meanwhile, so that after an interruption the next repair finds the damage
// again. If no store has a good file, the copy is forgotten, and what the replica has stays.
func (m *mending) mendCopy(ctx context.Context, p Problem) error {
	to := m.place(p.identity)
	digest, ok := trash.ParseName(p.File)
	if !ok {
		return fmt.Errorf("%q is not the name of a shard or an index", p.File)
	}

	named, err := m.Repo.Named(ctx, p.identity, []sqlrepo.Digest{digest})
	if err != nil {
		return err
	}
	if !named[digest].Here {
		return m.forgetUnneeded(ctx, p, digest)
	}

	// Nothing is written where the replica may not be.
	if err := known.Prove(ctx, to.Files, to.Store); err != nil {
		return fmt.Errorf("%w: %w", ErrStoreUnknown, err)
	}
	from, err := m.goodFile(ctx, to, p.File, digest)
	if err != nil {
		return fmt.Errorf("look for a good copy of %s for store %q: %w", p.File, p.Store, err)
	}

	if from.Files == nil {
		if err := m.Repo.ForgetCopies(ctx, p.identity, []sqlrepo.Digest{digest}); err != nil {
			return err
		}
		return m.did("store %s: its copy of %s was forgotten, since no store that is there has a good one: guppy store sync "+
			"sends it again once a store has", p.Store, p.File)
	}

	err = delivery.Copy(ctx, from.Files, to.Files, leftovers.CopyOwner(), p.File, digest, func(int64) {})
	if err != nil {
		return fmt.Errorf("copy %s from store %q to store %q: %w", p.File, from.Store.Name, p.Store, err)
	}
	unneeded, err := m.Repo.AddCopies(ctx, p.identity, []sqlrepo.Digest{digest})
	if err != nil {
		return err
	}
	if len(unneeded) > 0 {
		return m.forgetUnneeded(ctx, p, digest)
	}
	return m.did("store %s: %s was copied from store %s", p.Store, p.File, from.Store.Name)
}

// forgetUnneeded forgets a copy that its store need not have: it is no replica any longer, or no upload has the file.
func (m *mending) forgetUnneeded(ctx context.Context, p Problem, digest sqlrepo.Digest) error {
	if err := m.Repo.ForgetCopies(ctx, p.identity, []sqlrepo.Digest{digest}); err != nil {
		return err
	}
	return m.did("store %s: its copy of %s was forgotten, since the store need not have it any longer: guppy gc --strays "+
		"--yes removes what is left of it", p.Store, p.File)
}

// goodFile returns a store that has a good file of this name, other than the one that needs it. It returns the zero
// value if no store that is there has one, and an error if one of them could not be asked.
func (m *mending) goodFile(ctx context.Context, to Place, name string, digest sqlrepo.Digest) (Place, error) {
	var failed error
	for _, place := range m.Stores {
		switch place.Store.Identity {
		case to.Store.Identity, store.NoneIdentity:
			continue
		}
		if place.Files == nil {
			continue
		}

		got, err := store.Digest(ctx, place.Files, name)
		switch {
		case ctx.Err() != nil:
			return Place{}, context.Cause(ctx)
		case err == nil && got == digest:
			return place, nil
		case err != nil && !isGone(err):
			failed = errors.Join(failed, err)
		}
	}
	return Place{}, failed
}
